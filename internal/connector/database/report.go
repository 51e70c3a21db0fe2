package database

import (
	"crypto/tls"
	"net"
	"strings"

	"secretless/internal/connector"
	"secretless/internal/target"
)

// maxName bounds a certificate's name in a report.
const maxName = 100

// Report describes a connection that was opened by the plan, for a
// connector.Checker.
func (p Plan) Report(conn net.Conn) connector.Report {
	out := connector.Report{Target: p.Address.String()}
	state := tlsState(conn)
	switch {
	case p.Address.Unix():
		out.TLS = "unix socket"
	case state == nil:
		out.TLS, out.Unverified = "none", !loopback(conn)
	default:
		out.Unverified = !p.verifies()
		out.TLS = describe(*state)
		if out.Unverified {
			out.TLS += ", not verified"
		}
	}
	return out
}

// Reached is who answered at the other end of conn, for Session.Reached.
func (p Plan) Reached(conn net.Conn) connector.Target {
	t := connector.Target{Address: p.Address.String(), TLS: tlsState(conn)}
	t.Verified = t.TLS != nil && p.verifies()
	if !p.Address.Unix() {
		t.Remote = conn.RemoteAddr().String()
	}
	return t
}

// verifies says whether the plan takes a certificate for an identity.
func (p Plan) verifies() bool {
	return p.Mode >= target.VerifyCA || p.TLS != nil && (!p.TLS.InsecureSkipVerify || p.TLS.VerifyConnection != nil)
}

// tlsState looks through what wraps a TLS connection.
func tlsState(conn net.Conn) *tls.ConnectionState {
	for range 4 { // none of ours wraps more often
		switch c := conn.(type) {
		case *tls.Conn:
			state := c.ConnectionState()
			return &state
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil
		}
	}
	return nil
}

// describe is for instance "TLS 1.3, db.internal until 2027-03-01".
func describe(state tls.ConnectionState) string {
	out := tls.VersionName(state.Version)
	if len(state.PeerCertificates) == 0 {
		return out
	}
	cert := state.PeerCertificates[0]
	name := cert.Subject.CommonName
	if len(cert.DNSNames) > 0 {
		name = cert.DNSNames[0]
	} else if len(cert.IPAddresses) > 0 {
		name = cert.IPAddresses[0].String()
	}
	if len(name) > maxName {
		name = strings.ToValidUTF8(name[:maxName], "") + "…"
	}
	return out + ", " + Clean(name) + " until " + cert.NotAfter.UTC().Format("2006-01-02")
}

func loopback(conn net.Conn) bool {
	remote, ok := conn.RemoteAddr().(*net.TCPAddr)
	return ok && remote.IP.IsLoopback()
}
