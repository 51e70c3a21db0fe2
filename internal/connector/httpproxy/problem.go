package httpproxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/connector/httpproxy/http1"
	"secretless/internal/target"
)

// problem is what the client is told in place of the target's answer.
type problem struct {
	status int
	kind   string // error type of Proxy-Status (RFC 9209)
	text   string // one line, without any secret
}

func refusal(status int, format string, args ...any) *problem {
	return &problem{status, "http_request_denied", fmt.Sprintf(format, args...)}
}

// ofCredentials is the problem for an error of resolving credentials or of an
// authenticator.
func ofCredentials(err error) *problem {
	if errors.Is(err, auth.ErrBodyTooLarge) {
		return &problem{http.StatusRequestEntityTooLarge, "http_request_denied", err.Error()}
	}
	f, ok := errors.AsType[*connector.Failure](err)
	text := "adding the credential: " + err.Error()
	switch {
	case ok && f.Kind == connector.KindDenied:
		return &problem{http.StatusForbidden, "http_request_denied", err.Error()}
	case ok && f.Kind == connector.KindTimeout, errors.Is(err, context.DeadlineExceeded):
		return &problem{http.StatusGatewayTimeout, "connection_timeout", text}
	}
	return &problem{http.StatusServiceUnavailable, "proxy_configuration_error", text}
}

// ofTarget is the problem for an error of the transport. Of what the target or
// a library says only what is known to hold no answer of the target is shown.
func ofTarget(to string, err error) *problem {
	if f := forbidden(err); f != nil {
		return refusal(http.StatusForbidden, "refusing to connect to %s: %v", to, f)
	}
	var dns *net.DNSError
	var verify *tls.CertificateVerificationError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return &problem{http.StatusBadGateway, "dns_error", fmt.Sprintf("the host of %s does not exist; check the URL and the name server of the broker's machine", to)}
	case errors.As(err, &dns) && !dns.IsTimeout:
		return &problem{http.StatusBadGateway, "dns_error", fmt.Sprintf("the host of %s cannot be looked up; check the name server of the broker's machine", to)}
	case errors.As(err, &verify):
		return &problem{http.StatusBadGateway, "tls_certificate_error", ofCertificate(to, verify.Err)}
	case errors.As(err, &alert), errors.As(err, &record):
		return &problem{http.StatusBadGateway, "tls_protocol_error", fmt.Sprintf("TLS with %s failed: %s", to, brief(err))}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &problem{http.StatusBadGateway, "connection_refused", fmt.Sprintf("%s refuses connections; check that it runs", to)}
	case timedOut(err):
		return &problem{http.StatusGatewayTimeout, "connection_timeout", fmt.Sprintf("%s did not answer in time", to)}
	}
	return &problem{http.StatusBadGateway, "connection_terminated", fmt.Sprintf("no usable answer from %s: %s", to, transportText(err))}
}

// ofCertificate says what is wrong with the target's, and what helps.
func ofCertificate(to string, err error) string {
	if text, ok := target.OutOfTime(err); ok {
		return fmt.Sprintf("the certificate of %s %s", to, text)
	}
	text := fmt.Sprintf("the certificate of %s is not accepted: %s", to, brief(err))
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		text += "; a CA of your own goes into " + bundleVariable
	}
	return text
}

func timedOut(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	n, ok := errors.AsType[net.Error](err)
	return ok && n.Timeout()
}

// transportText names what is known of an error. Errors of net/http quote
// headers and status lines, which may repeat a credential.
func transportText(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		return op.Op + ": " + brief(op.Err)
	}
	text := err.Error()
	switch {
	case errors.Is(err, http1.ErrTooManyInterim):
		return "it sends interim answers (1xx) without end"
	case strings.Contains(text, "malformed"), strings.Contains(text, "invalid"):
		return "the answer is no HTTP"
	case strings.Contains(text, "exceeded"), strings.Contains(text, "too large"), strings.Contains(text, "too long"):
		return "the head of the answer is too large"
	case strings.Contains(text, "Proxy Authentication Required"):
		return "the upstream proxy demands a login; write it into HTTPS_PROXY as http://user:password@host:port"
	case strings.Contains(text, "EOF"), strings.Contains(text, "reset"), strings.Contains(text, "closed"):
		return "the connection ended before the answer did"
	}
	return "the connection failed"
}

func brief(err error) string {
	const longest = 200
	text := database.Clean(err.Error())
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}
