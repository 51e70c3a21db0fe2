package awsconfig

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Call is what a provider asks AWS for, in the words of its errors.
type Call struct {
	// Action is what the policy must allow: "secretsmanager:GetSecretValue".
	Action string
	// On is what the policy must allow it on: "this secret".
	On string
	// NotFound says what is missing where.
	NotFound string
	// Region is where it is, if the id says so.
	Region string
}

// reason is why a call failed, in our words: what AWS, or somebody in its
// place, has answered is never part of it.
type reason struct {
	err       error
	transient bool
}

func (r *reason) Error() string { return r.err.Error() }

func (r *reason) Unwrap() error { return r.err }

func because(format string, args ...any) *reason { return &reason{err: fmt.Errorf(format, args...)} }

func passing(format string, args ...any) *reason {
	return &reason{err: fmt.Errorf(format, args...), transient: true}
}

// settingError is a setting that its provider does not give. It carries that
// provider's verdict on whether a retry helps.
type settingError struct {
	setting string
	err     error
}

func (e *settingError) Error() string { return e.setting + ": " + e.err.Error() }

func (e *settingError) Unwrap() error { return e.err }

// explain says why what failed.
func (what Call) explain(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return fmt.Errorf("waiting for AWS (%s): %w", what.Action, ended)
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if ok {
		if r := what.byCode(api); r != nil {
			return r
		}
	}
	answer, answered := errors.AsType[*smithyhttp.ResponseError](err)
	if ok || answered && answer.HTTPStatusCode() >= 300 {
		return byStatus(what.Action, answer)
	}
	return byTransport(what.Action, err)
}

// refusesCredentials reports whether other credentials may do.
func refusesCredentials(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return false
	}
	switch api.ErrorCode() {
	case "ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch":
		return true
	}
	return false
}

// byCode knows the codes that the services document; nil for any other.
func (what Call) byCode(api smithy.APIError) *reason {
	switch api.ErrorCode() {
	case "AccessDeniedException", "AccessDenied":
		if strings.Contains(api.ErrorMessage(), "KMS") || strings.Contains(api.ErrorMessage(), "kms:") {
			return because("access denied: the key that encrypts it is not open to these credentials; allow them kms:Decrypt on it")
		}
		return because("access denied: allow these credentials %s on %s", what.Action, what.On)
	case "ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound":
		return because("%s", what.NotFound)
	case "DecryptionFailure", "InvalidKeyId":
		return because("cannot be decrypted: its KMS key is disabled, gone, or not open to these credentials (kms:Decrypt)")
	case "InvalidRequestException":
		return because("has no value to give: it is scheduled for deletion, or managed by a service that keeps it")
	case "InvalidParameterException", "ValidationException":
		return because("AWS does not accept this id; check its spelling")
	case "ExpiredTokenException", "ExpiredToken":
		return because("the AWS credentials have expired: log in again, or renew what they come from")
	case "UnrecognizedClientException", "InvalidClientTokenId", "InvalidIdentityToken":
		return because("AWS does not know the access key or token: it is wrong, deactivated or deleted, or its session token is missing")
	case "InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature":
		return because("AWS does not accept the signature: the secret access key is wrong, or the clock of this machine")
	case "RequestExpired", "RequestTimeTooSkewed":
		return because("AWS finds the request too old: set the clock of this machine")
	case "OptInRequired", "RegionDisabledException":
		return because("the account has not enabled this region or service")
	case "ThrottlingException", "Throttling", "ThrottledException", "RequestThrottled", "RequestThrottledException", "TooManyRequestsException", "RequestLimitExceeded":
		return passing("AWS limits the rate of requests (%s); raise cache, so that fewer are made", what.Action)
	case "InternalServiceError", "InternalServerError", "InternalFailure", "ServiceUnavailable", "ServiceUnavailableException":
		return passing("AWS has trouble of its own (%s); see its health dashboard if it lasts", what.Action)
	}
	return nil
}

// byStatus is for answers that say no more than their HTTP status.
func byStatus(action string, r *smithyhttp.ResponseError) *reason {
	if r == nil {
		return because("AWS answered with an error that the broker does not know (%s)", action)
	}
	switch status := r.HTTPStatusCode(); {
	case status == http.StatusTooManyRequests:
		return passing("AWS limits the rate of requests (%s); raise cache, so that fewer are made", action)
	case status >= 500:
		return passing("AWS answered HTTP %d (%s)", status, action)
	case status < 400:
		return because("the %w (%s); is this the service's endpoint?", errRedirect, action)
	default:
		return because("AWS answered HTTP %d with an error that the broker does not know (%s); is this the service's endpoint?", status, action)
	}
}

// byTransport is for what is no answer of the API.
func byTransport(action string, err error) error {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return because("the certificate of the AWS endpoint is not trusted (%s)%s; name its authority with AWS_CA_BUNDLE", action, certificate(err))
	}
	op, isNet := errors.AsType[*net.OpError](err)
	_, isDNS := errors.AsType[*net.DNSError](err)
	_, garbage := errors.AsType[*smithy.DeserializationError](err)
	switch {
	case errors.Is(err, errEnded):
		return because("%w", errEnded)
	case errors.Is(err, errTooLarge), errors.Is(err, errRedirect):
		return because("the %w (%s); is this the service's endpoint?", firstOf(err, errTooLarge, errRedirect), action)
	case isNet && op.Op == "dial" || isDNS:
		return passing("cannot connect to AWS (%s): %w; check the region, the endpoint and the proxy", action, dialError(op, err))
	case garbage:
		return passing("the answer cannot be read (%s); is this the service's endpoint, or a proxy's page?", action)
	}
	return passing("the connection to AWS broke (%s)", action)
}

func firstOf(err error, targets ...error) error {
	for _, t := range targets {
		if errors.Is(err, t) {
			return t
		}
	}
	return err
}

// dialError keeps the address and the system's reason.
func dialError(op *net.OpError, err error) error {
	if op != nil {
		return op
	}
	dns, _ := errors.AsType[*net.DNSError](err)
	return dns
}

// certificate tells the usual reasons apart without quoting the certificate.
func certificate(err error) string {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return ": it is for another host"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return ": it has expired"
	}
	return ""
}

const noCredentials = "no AWS credentials: none are in the settings, the environment or the shared configuration, and no container or instance role answers; " +
	"set AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the instance's settings"

var errNoRegion = because("no AWS region: set region in the instance's settings, AWS_REGION, or a region in the profile")

// explainCredentials says why the chain gave none.
func explainCredentials(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return fmt.Errorf("waiting for AWS credentials: %w", ended)
	}
	op, _ := errors.AsType[*smithy.OperationError](err)
	if op != nil && op.Service() == "ec2imds" {
		if r, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && r.HTTPStatusCode() >= 500 {
			return passing("AWS credentials: the instance's metadata service answered HTTP %d", r.HTTPStatusCode())
		}
		return because(noCredentials)
	}
	_, noToken := errors.AsType[*ssocreds.InvalidTokenError](err)
	if noToken || strings.Contains(err.Error(), "SSO token") { // the SDK has no type for all of it
		return because("AWS credentials: the SSO session has expired or there is none; run: aws sso login")
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return because("AWS credentials: cannot read %s: %w", path.Path, path.Err)
	}
	if _, ok := errors.AsType[*processcreds.ProviderError](err); ok {
		return because("AWS credentials: the profile's credential_process failed, or gave none that are valid")
	}
	if strings.Contains(err.Error(), "failed to retrieve jwt") { // the SDK drops the cause
		return because("AWS credentials: the file of the web identity's token (AWS_WEB_IDENTITY_TOKEN_FILE) cannot be read")
	}
	if op == nil {
		if api, ok := errors.AsType[smithy.APIError](err); ok {
			return &reason{
				err:       errors.New("AWS credentials: the container's credential endpoint gives none; see the task's role or the pod's identity association"),
				transient: api.ErrorFault() == smithy.FaultServer,
			}
		}
		return because("AWS credentials: the chain failed (%T)", innermost(err))
	}
	what := Call{Action: "sts:" + op.Operation(), On: "the role, and let the role's trust policy name them", NotFound: "the role does not exist"}
	if op.Service() != "STS" {
		what.Action, what.On = op.Service()+" "+op.Operation(), "the role"
	}
	explained := what.explain(ctx, err)
	r, ok := errors.AsType[*reason](explained)
	return &reason{fmt.Errorf("AWS credentials: %w", explained), ok && r.transient}
}

// explainLoading says why there is no configuration.
func explainLoading(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return fmt.Errorf("waiting for the AWS configuration: %w", ended)
	}
	if setting, ok := errors.AsType[*settingError](err); ok {
		return setting
	}
	if r, ok := errors.AsType[*reason](err); ok {
		return r
	}
	if missing, ok := errors.AsType[config.SharedConfigProfileNotExistError](err); ok {
		return because("the shared AWS configuration has no profile %q", missing.Profile)
	}
	if _, ok := errors.AsType[config.AssumeRoleTokenProviderNotSetError](err); ok {
		return because("the profile's role asks for a code of a device (mfa_serial), which nobody is there to type; use SSO or a role without it")
	}
	return because("the AWS configuration cannot be loaded (%T); check the profile with: aws configure list", innermost(err))
}

func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
