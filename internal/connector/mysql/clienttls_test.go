package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"strings"
	"testing"

	"secretless/internal/connector"
	"secretless/internal/testenv"
	"secretless/internal/wire/mysqlwire"
)

// listenerTLS makes the front offer TLS, and demand a certificate if asked to.
func listenerTLS(t *testing.T, f *front, auth tls.ClientAuthType) {
	t.Helper()
	server := testenv.CA(t).Server(t, testenv.CertECDSA)
	pair, err := tls.X509KeyPair([]byte(server.CertPEM), []byte(server.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(testenv.CA(t).CAPEM))
	f.ClientTLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: auth, ClientCAs: roots, MinVersion: tls.VersionTLS12}
}

func TestClientsWithTLS(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{})
	f := newFront(t, Config{}, creds(s, s.Users.Native))
	listenerTLS(t, f, tls.NoClientCert)
	c := nobody(f)
	c.TLS = s.CA.MySQLTLS(t, testenv.KeyPair{})
	for range 2 {
		// The target's side stays as it is configured.
		if got, err := ask(t, c, "select variable_value from information_schema.session_status where variable_name = 'ssl_version'"); err != nil || got != "" {
			t.Errorf("%q, %v", got, err)
		}
	}
	c.TLS = nil
	if _, err := ask(t, c, "select 'x'"); err != nil {
		t.Errorf("without TLS, which is not demanded: %v", err)
	}
}

func TestClientsWithCertificates(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{})
	f := newFront(t, Config{}, creds(s, s.Users.Native))
	listenerTLS(t, f, tls.RequireAndVerifyClientCert)
	c := nobody(f)
	c.TLS = s.CA.MySQLTLS(t, s.CA.Client(t, "me"))
	if _, err := ask(t, c, "select 'x'"); err != nil {
		t.Error(err)
	}
	want := "3159 HY000 secretless: this service demands TLS with a client certificate; connect with the driver's options for TLS, a certificate and a key"
	if got := shown(t, nil, talk(t, f, plainResponse().packet(1))); got != want {
		t.Error(got)
	}
	// Half of the answer in plain text, and no TLS at all.
	if n := f.Credentials.Lookups(); n != 1 {
		t.Errorf("%d lookups, want that of the client with a certificate", n)
	}
}

// Who does not show the certificate is told that and nothing of the target,
// also where the target had to be asked first and is down.
func TestWithoutCertificateNothingOfTheTargetIsTold(t *testing.T) {
	f := newFront(t, Config{}, map[string]string{"host": "127.0.0.1", "port": "1", "username": "a"})
	listenerTLS(t, f, tls.RequireAndVerifyClientCert)
	want := "3159 HY000 secretless: this service demands TLS with a client certificate; connect with the driver's options for TLS, a certificate and a key"
	if got := shown(t, nil, talk(t, f, plainResponse().packet(1))); got != want {
		t.Error(got)
	}
	// The log has both.
	if err := f.Result(0); connector.KindOf(err) != connector.KindConnect || !strings.Contains(err.Error(), "demands TLS") {
		t.Error(err)
	}
}

// The ClientHello may come in one write with the request for TLS: there is no
// answer to wait for. What is plain text in its place is no login.
func TestPlainTextInPlaceOfClientHello(t *testing.T) {
	f := newFront(t, Config{Greeting: greetLearned}, map[string]string{"host": "127.0.0.1"})
	listenerTLS(t, f, tls.NoClientCert)
	conn := dial(t, f)
	if h := parseGreeting(t, newPeer(conn)); !h.Capabilities.Has(mysqlwire.ClientSSL) {
		t.Error("TLS is not offered")
	}
	r := plainResponse()
	r.Capabilities |= mysqlwire.ClientSSL
	if _, err := conn.Write(append(r.AppendSSLRequest(nil, 1), r.packet(2)...)); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(conn)
	if strings.Contains(string(answer), "secretless:") {
		t.Errorf("%q", answer)
	}
	if err := f.Result(0); err == nil || !strings.Contains(err.Error(), "TLS with the client") || f.Credentials.Lookups() != 0 {
		t.Errorf("%v, %d lookups", err, f.Credentials.Lookups())
	}
}
