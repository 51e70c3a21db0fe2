package mysql

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"secretless/internal/secret"
	"secretless/internal/testenv"
	"secretless/internal/wire/mysqlwire"
)

// tlsTarget is a target that shows a certificate and counts the sessions that
// were taken up.
func tlsTarget(t *testing.T, config *tls.Config, resumed chan<- bool) *fakeTarget {
	return newFakeTarget(t, tlsScript(config, resumed))
}

func offersTLS(h *mysqlwire.HandshakeV10) { h.Capabilities |= mysqlwire.ClientSSL }

func tlsScript(config *tls.Config, resumed chan<- bool) func(net.Conn) {
	return overTLS(config, offersTLS, func(p *peer) {
		resumed <- p.conn.(*tls.Conn).ConnectionState().DidResume
		_ = p.send(mysqlwire.OK{Status: 2}.Append(nil, 3))
		_, _ = p.next()
	})
}

// overTLS is a target up to the login, which it leaves to then.
func overTLS(config *tls.Config, greeting func(*mysqlwire.HandshakeV10), then func(*peer)) func(net.Conn) {
	return func(conn net.Conn) {
		p := newPeer(conn)
		_ = p.send(greeted(greeting))
		if _, err := p.next(); err != nil {
			return
		}
		p = newPeer(tls.Server(conn, config))
		if _, err := p.next(); err == nil {
			then(p)
		}
	}
}

func serverTLS(t *testing.T) *tls.Config {
	t.Helper()
	server := testenv.CA(t).Server(t, testenv.CertECDSA)
	pair, err := tls.X509KeyPair([]byte(server.CertPEM), []byte(server.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
}

func TestSessionsAreTakenUp(t *testing.T) {
	resumed := make(chan bool, 1)
	fake := tlsTarget(t, serverTLS(t), resumed)
	for _, mode := range []string{"require", "verify-ca", "verify-full"} {
		f := newFront(t, Config{}, fake.creds("sslmode", mode, "sslrootcert", testenv.CA(t).CAPEM))
		for round := range 3 {
			if payload := talk(t, f, plainResponse().packet(1)); mysqlwire.KindOf(payload) != mysqlwire.KindOK {
				t.Fatalf("%q", payload)
			}
			if got := <-resumed; got != (round > 0) {
				t.Errorf("%s: login %d resumed: %v", mode, round, got)
			}
		}
	}
}

// Another authority, another client certificate: another session.
func TestSessionsBelongToTheirCredentials(t *testing.T) {
	resumed := make(chan bool, 1)
	fake := tlsTarget(t, serverTLS(t), resumed)
	good := fake.creds("sslmode", "verify-full", "sslrootcert", testenv.CA(t).CAPEM)
	f := newFront(t, Config{}, good, fake.creds("sslmode", "verify-full", "sslrootcert", testenv.CA(t).OtherCAPEM))
	if payload := talk(t, f, plainResponse().packet(1)); mysqlwire.KindOf(payload) != mysqlwire.KindOK {
		t.Fatalf("%q", payload)
	}
	<-resumed
	if payload := talk(t, f, plainResponse().packet(1)); mysqlwire.KindOf(payload) != mysqlwire.KindERR {
		t.Errorf("a target that the new authority does not know was accepted: %q", payload)
	}
}

// Some servers end a handshake that takes a session up instead of starting
// anew: the client does not hear of it.
func TestTargetThatRefusesSessions(t *testing.T) {
	resumed := make(chan bool, 1)
	config := serverTLS(t)
	config.UnwrapSession = func([]byte, tls.ConnectionState) (*tls.SessionState, error) {
		return nil, net.ErrClosed // ends the handshake
	}
	fake := tlsTarget(t, config, resumed)
	f := newFront(t, Config{}, fake.creds("sslmode", "require"))
	for range 3 {
		if payload := talk(t, f, plainResponse().packet(1)); mysqlwire.KindOf(payload) != mysqlwire.KindOK {
			t.Fatalf("%q", payload)
		}
		if <-resumed {
			t.Error("resumed")
		}
	}
	if !f.Connector.resumed.refused {
		t.Error("the target is asked again and again")
	}
}

// A server may ask a session for the client's certificate: MariaDB does.
func TestSessionsWithClientCertificates(t *testing.T) {
	s := testenv.NewMariaDB(t, testenv.Maria{})
	cert := s.CA.Client(t, "somebody")
	f := newFront(t, Config{}, creds(s, s.Users.X509, "sslmode", "verify-full", "sslrootcert", s.CA.CAPEM, "sslcert", cert.CertPEM, "sslkey", cert.KeyPEM))
	for range 4 {
		if _, err := ask(t, nobody(f), "select 'x'"); err != nil {
			t.Fatal(err)
		}
	}
	if f.Connector.resumed.refused {
		t.Error("MariaDB ended a handshake that took a session up")
	}
}

func TestEveryCredentialOfTLSCounts(t *testing.T) {
	seen := map[[32]byte]string{}
	for _, name := range []string{"host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslhost", "username"} {
		set := secret.NewSet(map[string]secret.Value{name: secret.Copy("x")})
		digest := digestOf(set)
		if other := seen[digest]; other != "" {
			t.Errorf("%s counts like %s", name, other)
		}
		seen[digest] = name
	}
	// Where one ends and the next begins counts too.
	one := secret.NewSet(map[string]secret.Value{"sslcert": secret.Copy("ab"), "sslkey": secret.Copy("c")})
	other := secret.NewSet(map[string]secret.Value{"sslcert": secret.Copy("a"), "sslkey": secret.Copy("bc")})
	if digestOf(one) == digestOf(other) {
		t.Error("two credentials run into each other")
	}
}

// A target that does not answer in time has not refused a session: it gets one
// connect timeout, not two, and its sessions are taken up later.
func TestSlowHandshakeIsNoRefusal(t *testing.T) {
	resumed := make(chan bool, 1)
	var slow atomic.Bool
	quick := tlsScript(serverTLS(t), resumed)
	fake := newFakeTarget(t, func(conn net.Conn) {
		if !slow.Load() {
			quick(conn)
			return
		}
		p := newPeer(conn)
		_ = p.send(greeted(offersTLS))
		_, _ = io.Copy(io.Discard, conn)
	})
	f := newFront(t, Config{}, fake.creds("sslmode", "require"))
	f.Connect = 300 * time.Millisecond
	if payload := talk(t, f, plainResponse().packet(1)); mysqlwire.KindOf(payload) != mysqlwire.KindOK {
		t.Fatalf("%q", payload)
	}
	<-resumed
	slow.Store(true)
	want := "1159 08S01 secretless: TLS with the target 127.0.0.1:PORT: handshake did not end in time"
	if got := shown(t, fake, talk(t, f, plainResponse().packet(1))); !strings.HasPrefix(got, want) {
		t.Error(got)
	}
	if n := fake.Connections(); n != 2 {
		t.Errorf("%d connections for two logins", n)
	}
	slow.Store(false)
	// A handshake that failed has used its session up; the one after it has a
	// new one.
	for _, want := range []bool{false, true} {
		if payload := talk(t, f, plainResponse().packet(1)); mysqlwire.KindOf(payload) != mysqlwire.KindOK {
			t.Fatalf("%q", payload)
		}
		if got := <-resumed; got != want {
			t.Errorf("resumed: %v, want %v", got, want)
		}
	}
}
