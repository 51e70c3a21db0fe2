package awsconfig

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sso"
	"github.com/aws/aws-sdk-go-v2/service/ssooidc"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// maxBundle bounds the file of AWS_CA_BUNDLE.
const maxBundle = 4 << 20

// environment turns the environment that the broker was given into options of
// the SDK, as far as the SDK has one that ranks like the variable. The SDK
// reads the process's own environment beside it and cannot be told not to
// (docs/adr/the-aws-sdk-reads-the-environment.md): the two are one, except in
// tests.
type environment func(string) (string, bool)

// first is the value of the first variable that is set to something.
func (e environment) first(names ...string) string {
	for _, name := range names {
		if v, _ := e(name); v != "" {
			return v
		}
	}
	return ""
}

// options are what the environment says about an instance with these settings.
func (e environment) options(s Settings) ([]config.LoadOptionsFunc, error) {
	var out []config.LoadOptionsFunc
	set := func(value string, option func(string) config.LoadOptionsFunc) {
		if value != "" {
			out = append(out, option(value))
		}
	}
	set(e.first("AWS_REGION", "AWS_DEFAULT_REGION"), config.WithRegion)
	set(e.first("AWS_CONFIG_FILE"), func(path string) config.LoadOptionsFunc { return config.WithSharedConfigFiles([]string{path}) })
	set(e.first("AWS_SHARED_CREDENTIALS_FILE"), func(path string) config.LoadOptionsFunc { return config.WithSharedCredentialsFiles([]string{path}) })
	set(e.first("AWS_ENDPOINT_URL"), config.WithBaseEndpoint)
	out = append(out, config.WithServiceOptions(e.endpoint))
	set(e.first("AWS_EC2_METADATA_SERVICE_ENDPOINT"), config.WithEC2IMDSEndpoint)
	if strings.EqualFold(e.first("AWS_EC2_METADATA_DISABLED"), "true") {
		out = append(out, config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
	}
	if path := e.first("AWS_CA_BUNDLE"); path != "" {
		bundle, err := readBundle(path)
		if err != nil {
			return nil, err
		}
		out = append(out, config.WithCustomCABundle(bytes.NewReader(bundle)))
	}
	return append(out, e.identity(s)...), nil
}

// endpoint sets the endpoint that the environment names for one service. As an
// option of the SDK, AWS_ENDPOINT_URL would outrank it.
func (e environment) endpoint(_ string, options any) {
	if e.ignoresEndpoints() {
		return
	}
	set := func(service string, into **string) {
		if url := e.first("AWS_ENDPOINT_URL_" + service); url != "" {
			*into = &url
		}
	}
	switch o := options.(type) {
	case *secretsmanager.Options:
		set("SECRETS_MANAGER", &o.BaseEndpoint)
	case *ssm.Options:
		set("SSM", &o.BaseEndpoint)
	case *sts.Options:
		set("STS", &o.BaseEndpoint)
	case *sso.Options:
		set("SSO", &o.BaseEndpoint)
	case *ssooidc.Options:
		set("SSO_OIDC", &o.BaseEndpoint)
	}
}

// endpointOf is the endpoint that the environment names for a service, be it
// that of all; empty if it names none.
func (e environment) endpointOf(service string) string {
	if e.ignoresEndpoints() {
		return ""
	}
	return e.first("AWS_ENDPOINT_URL_"+service, "AWS_ENDPOINT_URL")
}

func (e environment) ignoresEndpoints() bool {
	return strings.EqualFold(e.first("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), "true")
}

// identity is whose credentials the environment says to use. A profile of the
// instance's own settings outranks all of it. Keys and a web identity outrank
// AWS_PROFILE, which as an option of the SDK would outrank them.
func (e environment) identity(s Settings) []config.LoadOptionsFunc {
	key := e.first("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY")
	secret := e.first("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY")
	profile := e.first("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
	var out []config.LoadOptionsFunc
	switch {
	case s.Profile != "":
		return []config.LoadOptionsFunc{config.WithSharedConfigProfile(s.Profile)}
	case key != "" && secret != "":
		out = append(out, config.WithCredentialsProvider(credentials.StaticCredentialsProvider{Value: aws.Credentials{
			AccessKeyID: key, SecretAccessKey: secret, SessionToken: e.first("AWS_SESSION_TOKEN"), Source: config.CredentialsSourceName,
		}}))
	case e.first("AWS_WEB_IDENTITY_TOKEN_FILE") != "":
		return nil // the SDK reads this, and the profile beside it, itself
	}
	if profile != "" {
		out = append(out, config.WithSharedConfigProfile(profile))
	}
	return out
}

func readBundle(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxBundle) {
		return nil, fmt.Errorf("AWS_CA_BUNDLE: %s is no file of certificates", path)
	}
	if err != nil {
		return nil, fmt.Errorf("AWS_CA_BUNDLE: %w", err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("AWS_CA_BUNDLE: %w", err)
	}
	return b, nil
}
