package target

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"secretless/internal/secret"
)

// TLS is what a connector's credentials say about TLS.
type TLS struct {
	Mode Mode
	// RootCert, Cert and Key are PEM text; empty means the system's roots and
	// no client certificate. They are not kept.
	RootCert, Cert, Key secret.Value
	// ServerName replaces the host for verification and SNI: sslhost.
	ServerName string
	// VerifyIfRoot makes Require with a RootCert verify as VerifyCA does.
	VerifyIfRoot bool
	// NextProtos are the ALPN protocols to offer.
	NextProtos []string
}

// ClientConfig makes the configuration for a handshake with host; nil for
// Disable. Its errors are about the credentials, name the one that is wrong
// and repeat none of their text.
func ClientConfig(host string, t TLS) (*tls.Config, error) {
	if t.Mode == Disable {
		return nil, nil
	}
	name := host
	if t.ServerName != "" {
		name = t.ServerName
	}
	config := &tls.Config{
		MinVersion:    tls.VersionTLS12,
		Renegotiation: tls.RenegotiateNever,
		ServerName:    name, // crypto/tls sends SNI only where this is a name
		NextProtos:    t.NextProtos,
	}
	if err := addRoots(config, t.RootCert); err != nil {
		return nil, err
	}
	if err := addCertificate(config, t.Cert, t.Key); err != nil {
		return nil, err
	}
	mode := t.Mode
	if mode == Require && t.VerifyIfRoot && t.RootCert.Len() > 0 {
		mode = VerifyCA
	}
	if mode < VerifyFull {
		// crypto/tls verifies chain and name together or not at all.
		config.InsecureSkipVerify = true
	}
	if mode == VerifyCA {
		config.VerifyConnection = verifyChain(config.RootCAs)
	}
	return config, nil
}

func addRoots(config *tls.Config, roots secret.Value) error {
	if roots.Len() == 0 {
		return nil
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(roots.Bytes()) {
		return errNoRoots
	}
	return nil
}

var errNoRoots = errors.New("sslrootcert holds no PEM certificate; it is the text of the certificates, not the path of a file")

// verifyChain checks what the target sent against roots, but no name. It runs
// on resumed sessions too, as VerifyPeerCertificate would not.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the target sent no certificate")
		}
		options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, c := range state.PeerCertificates[1:] {
			options.Intermediates.AddCert(c)
		}
		if _, err := state.PeerCertificates[0].Verify(options); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
		}
		return nil
	}
}

// Handshake upgrades conn within ctx and returns the encrypted connection; the
// caller still owns conn on failure. address is for the *Error only.
func Handshake(ctx context.Context, conn net.Conn, config *tls.Config, address string) (*tls.Conn, error) {
	defer Watch(ctx, conn)()
	upgraded := tls.Client(conn, config)
	// Without the context: its cancellation would close conn, which is the
	// caller's, and cost a goroutine. Watch ends the handshake instead.
	if err := upgraded.Handshake(); err != nil { //nolint:noctx
		return nil, &Error{Op: OpTLS, Address: address, Err: err}
	}
	return upgraded, nil
}

// IsAlert says whether err is a TLS alert sent by the target. With TLS 1.3 a
// refused client certificate shows only as an alert on the first read.
func IsAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// tlsReason puts what to do beside the cause of a failed handshake.
func tlsReason(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "certificate signed by an authority that is not trusted; put the CA's certificate into sslrootcert"
	}
	if host, ok := errors.AsType[x509.HostnameError](err); ok {
		return brief(host.Error()) + "; set sslhost to a name in the certificate, or sslmode to verify-ca"
	}
	if text, ok := OutOfTime(err); ok {
		return "certificate " + text
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "certificate not accepted: " + brief(fmt.Sprint(errors.Unwrap(err)))
	}
	if IsAlert(err) {
		return fmt.Sprintf("the target ended it with the alert %q; it may demand a client certificate it trusts (sslcert, sslkey) or another TLS version", reason(err))
	}
	switch {
	case isTimeout(err):
		return "handshake did not end in time"
	case IsClosed(err):
		return "the target closed the connection during the handshake; its log may say why"
	}
	return reason(err)
}

// OutOfTime says of a certificate that is not accepted for its time which end
// of that was missed, and what helps: "has expired on …".
func OutOfTime(err error) (text string, ok bool) {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	if !ok || invalid.Reason != x509.Expired {
		return "", false
	}
	return validity(invalid.Cert, time.Now()), true
}

func validity(c *x509.Certificate, now time.Time) string {
	if c != nil && now.Before(c.NotBefore) {
		return "is not valid before " + c.NotBefore.UTC().Format(time.DateTime) + " UTC; check the clock of the broker's machine"
	}
	text := "has expired"
	if c != nil {
		text += " on " + c.NotAfter.UTC().Format(time.DateOnly)
	}
	return text + "; renew it, or check the clock of the broker's machine"
}

// brief bounds a text that quotes a certificate: whoever answers for the
// target has written it, and it goes to the log and to the client.
func brief(text string) string {
	const longest = 300
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "") + "…"
}
