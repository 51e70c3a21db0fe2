package ssh

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector"
	"secretless/internal/testenv"
)

// listenerTLS gives the front TLS that demands a certificate.
func listenerTLS(t *testing.T, f *front) (client *tls.Config) {
	t.Helper()
	ca := testenv.CA(t)
	pair := func(k testenv.KeyPair) tls.Certificate {
		out, err := tls.X509KeyPair([]byte(k.CertPEM), []byte(k.KeyPEM))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ca.CAPEM))
	f.clientTLS = &tls.Config{
		Certificates: []tls.Certificate{pair(ca.Server(t, testenv.CertECDSA))},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: roots, MinVersion: tls.VersionTLS12,
	}
	return &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{pair(ca.Client(t, "me"))}}
}

func TestListenerWithTLS(t *testing.T) {
	f := newFront(t, Config{}, newHost(t).credentials())
	config := listenerTLS(t, f)
	conn, channels, requests, err := ssh.NewClientConn(tls.Client(dial(t, f.addr()), config), "", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(err)
	}
	client := &dialed{Client: ssh.NewClient(conn, channels, requests)}
	if got, _, err := client.run(t, "cat", "x"); got != "x" || err != nil {
		t.Error(got, err)
	}
	_ = client.Close()
	if err := f.result(); err != nil {
		t.Error(err)
	}
}

func TestListenerWithTLSTakesNothingElse(t *testing.T) {
	for name, test := range map[string]struct {
		talk func(net.Conn, *tls.Config)
		want bool // an error
	}{
		"plain SSH": {func(conn net.Conn, _ *tls.Config) { _, _ = io.WriteString(conn, "SSH-2.0-x\r\n") }, true},
		"no certificate": {func(conn net.Conn, c *tls.Config) {
			c.Certificates = nil
			_, _ = tls.Client(conn, c).Write([]byte("SSH-2.0-x\r\n"))
		}, true},
		"a probe": {func(net.Conn, *tls.Config) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, Config{}, newHost(t).credentials())
			f.handshake = time.Second
			config := listenerTLS(t, f)
			conn := dial(t, f.addr())
			test.talk(conn, config)
			if name == "a probe" {
				_ = conn.Close()
			}
			err := f.result()
			if (err != nil) != test.want || err != nil && connector.KindOf(err) != connector.KindProtocol || f.Lookups() != 0 {
				t.Errorf("%v, %d lookups", err, f.Lookups())
			}
		})
	}
}
