package conjur

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"

	"secretless/internal/provider"
)

// reason is why a lookup failed, in our words. Nothing that Conjur, or who
// answers in its place, has said is part of it.
type reason struct {
	err       error
	transient bool
	denied    bool // Conjur does not accept the token
	reload    bool // settings and files are to be read again
	refs      string
}

func (r *reason) Error() string { return r.err.Error() }

func (r *reason) Unwrap() error { return r.err }

func because(format string, args ...any) *reason { return &reason{err: fmt.Errorf(format, args...)} }

// reloading is for what a changed file may mend.
func reloading(format string, args ...any) *reason {
	return &reason{err: fmt.Errorf(format, args...), reload: true}
}

func passing(format string, args ...any) *reason {
	return &reason{err: fmt.Errorf(format, args...), transient: true}
}

// fail makes the contract's error of err; ids are what was looked up, unless
// the reason knows better.
func (p *conjur) fail(ids string, err error) *provider.Error {
	e := &provider.Error{Provider: p.name, Ref: ids, Err: err}
	if r, ok := errors.AsType[*reason](err); ok {
		e.Transient = r.transient
		if r.refs != "" {
			e.Ref = r.refs
		}
	}
	return e
}

// unreachable explains a request that got no answer.
func unreachable(ctx context.Context, what string, err error) error {
	if ended := ctx.Err(); ended != nil {
		return fmt.Errorf("waiting for Conjur (%s): %w", what, ended)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return reloading("the certificate of Conjur is not trusted%s; set CONJUR_SSL_CERTIFICATE or CONJUR_CERT_FILE, or certificate or certFile, to that of Conjur's authority", certificate(err))
	}
	op, isNet := errors.AsType[*net.OpError](err)
	dns, isDNS := errors.AsType[*net.DNSError](err)
	switch {
	case errors.Is(err, errTooLarge):
		return because("the %w", errTooLarge)
	case isDNS:
		return passing("cannot connect to Conjur: %w; check applianceURL (CONJUR_APPLIANCE_URL), and that Conjur runs there", dns)
	case isNet && op.Op == "dial":
		return passing("cannot connect to Conjur: %w; check applianceURL (CONJUR_APPLIANCE_URL), and that Conjur runs there", op)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return because("Conjur's address does not speak TLS; is it the right port?")
	}
	return passing("the connection to Conjur broke (%s)", what)
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

// troubled explains the states that mean the same for every request; nil for
// the others.
func troubled(status int) *reason {
	switch {
	case status == http.StatusTooManyRequests || status == http.StatusRequestTimeout:
		return passing("Conjur is overloaded (HTTP %d)", status)
	case status >= 500:
		return passing("Conjur has trouble of its own (HTTP %d); see its log", status)
	case status >= 300 && status < 400:
		return because("Conjur answered with a redirect (HTTP %d), which is not followed; is the URL right?", status)
	}
	return nil
}
