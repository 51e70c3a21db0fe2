package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// failure is a request that got no secret. Its text is ours alone: what the
// server writes may quote what it was sent.
type failure struct {
	status    int // of HTTP; zero if there was no answer
	text      string
	transient bool
	cause     error
	// missing: the server knows the path or method, but has nothing there.
	missing bool
	// deadToken: the token that the request was made with is known to be over.
	deadToken bool
}

func (f *failure) Error() string {
	if f.cause != nil {
		return f.text + ": " + f.cause.Error()
	}
	return f.text
}

func (f *failure) Unwrap() error { return f.cause }

func isTransient(err error) bool {
	f, ok := errors.AsType[*failure](err)
	return ok && f.transient
}

func isDenied(err error) bool { return hasStatus(err, http.StatusForbidden) }

func hasStatus(err error, status int) bool {
	f, ok := errors.AsType[*failure](err)
	return ok && f.status == status
}

// answered says what a status that is no success means. The hints are all that
// is taken from the body.
func answered(status int, hints hints) *failure {
	f := &failure{status: status}
	switch {
	case status == http.StatusForbidden && hints.invalidToken:
		f.text, f.deadToken = "the token is not valid: it is wrong, has expired or was revoked (403)", true
	case status == http.StatusForbidden:
		f.text = "permission denied (403): the token's policies do not allow this path"
	case status == http.StatusUnauthorized:
		f.text = "not authorized (401)"
	case status == http.StatusNotFound && hints.deleted:
		f.text, f.missing = "this version of the secret was deleted or destroyed", true
	case status == http.StatusNotFound:
		f.text, f.missing = "no secret at this path (404); check the path and the engine's mount", true
	case status == http.StatusMethodNotAllowed:
		f.text = "the engine does not answer this kind of request (405); an engine that issues something needs parameters: path?name=value"
	case status == http.StatusBadRequest && hints.plainToTLS:
		f.text = "the server speaks TLS: address must start with https://"
	case status == http.StatusBadRequest:
		f.text = "the server refuses the request as wrong (400); its log or audit device says why"
	case status == http.StatusServiceUnavailable && hints.sealed:
		f.text, f.transient = "Vault is sealed (503)", true
	case status == http.StatusTooManyRequests:
		f.text, f.transient = "a rate limit quota is used up (429)", true
	case status == http.StatusPreconditionFailed:
		f.text, f.transient = "the server has not caught up with the cluster yet (412)", true
	case status == 472 || status == 473:
		f.text, f.transient = fmt.Sprintf("the server is a standby (%d)", status), true
	case status >= 500:
		f.text, f.transient = fmt.Sprintf("the server failed (%d)", status), true
	default:
		f.text = fmt.Sprintf("unexpected answer %d", status)
	}
	return f
}

// unanswered says why a request got no answer. A certificate that is wrong
// stays so: no retry mends it, and it is not an outage to be bridged.
func unanswered(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // it repeats the URL
	}
	if f, ok := errors.AsType[*failure](err); ok { // made below the client already
		return f
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &failure{text: "the server does not answer (check address, and what stands in front of it)", cause: err, transient: true}
	case errors.Is(err, errRedirect):
		return &failure{text: errRedirect.Error()}
	case errors.Is(err, errAnswerTooLarge):
		return &failure{text: errAnswerTooLarge.Error()}
	}
	if why := tlsReason(err); why != "" {
		return &failure{text: why, cause: err}
	}
	if e, ok := errors.AsType[net.Error](err); ok {
		return &failure{text: "cannot reach the server (check address, and that Vault runs there)", cause: e, transient: true}
	}
	// What is left may quote what came, from the server or a proxy.
	return &failure{text: "cannot reach the server: the connection broke, or what came is no HTTP", transient: true}
}

func tlsReason(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the server's certificate is signed by an authority that is not trusted; name its CA in caCert"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the server's certificate is for another name; correct address or set tlsServerName"
	}
	if _, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return "the server's certificate is not valid"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the server's certificate is not valid"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return "the server does not speak TLS; is address right?"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return "the server refuses the TLS handshake; it may want a client certificate (clientCert)"
	}
	return ""
}
