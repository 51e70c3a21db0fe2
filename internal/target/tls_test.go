package target

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"strings"
	"testing"

	"secretless/internal/secret"
	"secretless/internal/testenv"
)

// serve handshakes as a server with kind and returns what it saw.
func serve(t *testing.T, kind testenv.Cert, change func(*tls.Config)) (conn net.Conn, state <-chan tls.ConnectionState) {
	t.Helper()
	pair := testenv.CA(t).Server(t, kind)
	cert, err := tls.X509KeyPair([]byte(pair.CertPEM), []byte(pair.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10} //nolint:gosec // to be refused
	if change != nil {
		change(config)
	}
	// No net.Pipe: both sides write at once here, which needs buffers.
	listener := listen(t, "tcp4", "127.0.0.1:0")
	client, err := net.Dial("tcp4", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	states := make(chan tls.ConnectionState, 1)
	go func() {
		upgraded := tls.Server(server, config)
		if upgraded.Handshake() == nil {
			_, _ = upgraded.Write([]byte("x"))
		}
		states <- upgraded.ConnectionState()
		_ = server.Close()
	}()
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client, states
}

func TestModes(t *testing.T) {
	ca := testenv.CA(t)
	const (
		untrusted = "certificate signed by an authority that is not trusted; put the CA's certificate into sslrootcert"
		expired   = "certificate has expired on 20"
	)
	tests := map[string]struct {
		kind testenv.Cert
		tls  TLS
		want string // part of the error; empty for success
	}{
		"require anything":          {testenv.CertOtherCA, TLS{Mode: Require}, ""},
		"require ignores roots":     {testenv.CertOtherCA, TLS{Mode: Require, RootCert: secret.Copy(ca.CAPEM)}, ""},
		"require with roots for pg": {testenv.CertOtherCA, TLS{Mode: Require, RootCert: secret.Copy(ca.CAPEM), VerifyIfRoot: true}, untrusted},
		"that is verify-ca":         {testenv.CertWrongHost, TLS{Mode: Require, RootCert: secret.Copy(ca.CAPEM), VerifyIfRoot: true}, ""},
		"prefer anything":           {testenv.CertOtherCA, TLS{Mode: Prefer, RootCert: secret.Copy(ca.CAPEM), VerifyIfRoot: true}, ""},
		"verify-ca":                 {testenv.CertECDSA, TLS{Mode: VerifyCA, RootCert: secret.Copy(ca.CAPEM)}, ""},
		"verify-ca, wrong name":     {testenv.CertWrongHost, TLS{Mode: VerifyCA, RootCert: secret.Copy(ca.CAPEM)}, ""},
		"verify-ca, other CA":       {testenv.CertOtherCA, TLS{Mode: VerifyCA, RootCert: secret.Copy(ca.CAPEM)}, untrusted},
		"verify-ca, expired":        {testenv.CertExpired, TLS{Mode: VerifyCA, RootCert: secret.Copy(ca.CAPEM)}, expired},
		"verify-ca, system roots":   {testenv.CertECDSA, TLS{Mode: VerifyCA}, untrusted},
		"verify-full":               {testenv.CertRSA, TLS{Mode: VerifyFull, RootCert: secret.Copy(ca.CAPEM)}, ""},
		"verify-full, wrong name":   {testenv.CertWrongHost, TLS{Mode: VerifyFull, RootCert: secret.Copy(ca.CAPEM)}, "set sslhost to a name in the certificate, or sslmode to verify-ca"},
		"verify-full, sslhost":      {testenv.CertWrongHost, TLS{Mode: VerifyFull, RootCert: secret.Copy(ca.CAPEM), ServerName: "wrong.example"}, ""},
		"verify-full, other CA":     {testenv.CertOtherCA, TLS{Mode: VerifyFull, RootCert: secret.Copy(ca.CAPEM)}, untrusted},
		"verify-full, expired":      {testenv.CertExpired, TLS{Mode: VerifyFull, RootCert: secret.Copy(ca.CAPEM)}, expired},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			conn, _ := serve(t, test.kind, nil)
			config, err := ClientConfig("127.0.0.1", test.tls)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Handshake(t.Context(), conn, config, "db:1")
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "TLS with the target db:1: ") || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
	if config, err := ClientConfig("db", TLS{}); config != nil || err != nil {
		t.Error("disable makes a configuration")
	}
}

func TestServerName(t *testing.T) {
	for name, test := range map[string]struct{ host, sslhost, want string }{
		"name":       {"db.internal", "", "db.internal"},
		"IP":         {"127.0.0.1", "", ""},
		"IPv6":       {"::1", "", ""},
		"IP and own": {"127.0.0.1", "db.example", "db.example"},
	} {
		for _, mode := range []Mode{Require, VerifyCA} {
			t.Run(name+" "+mode.String(), func(t *testing.T) {
				conn, state := serve(t, testenv.CertECDSA, nil)
				config, err := ClientConfig(test.host, TLS{Mode: mode, RootCert: secret.Copy(testenv.CA(t).CAPEM), ServerName: test.sslhost})
				if err != nil {
					t.Fatal(err)
				}
				upgraded, err := Handshake(t.Context(), conn, config, "db:1")
				if err != nil {
					t.Fatal(err)
				}
				_, _ = upgraded.Read(make([]byte, 1))
				if got := (<-state).ServerName; got != test.want {
					t.Errorf("SNI %q, want %q", got, test.want)
				}
			})
		}
	}
}

func TestOldTLSRefused(t *testing.T) {
	conn, _ := serve(t, testenv.CertECDSA, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 })
	config, _ := ClientConfig("db", TLS{Mode: Require})
	_, err := Handshake(t.Context(), conn, config, "db:1")
	if err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Error(err)
	}
}

func TestClientCertificateDemanded(t *testing.T) {
	ca := testenv.CA(t)
	demand := func(c *tls.Config) {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		c.ClientCAs.AppendCertsFromPEM([]byte(ca.CAPEM))
	}
	attempt := func(t *testing.T, files TLS, change func(*tls.Config)) error {
		conn, _ := serve(t, testenv.CertECDSA, func(c *tls.Config) { demand(c); change(c) })
		config, err := ClientConfig("db", files)
		if err != nil {
			t.Fatal(err)
		}
		upgraded, err := Handshake(t.Context(), conn, config, "db:1")
		if err != nil {
			return err
		}
		_, err = upgraded.Read(make([]byte, 1))
		return err
	}
	pair := ca.Client(t, "app")
	with := TLS{Mode: Require, Cert: secret.Copy(pair.CertPEM), Key: secret.Copy(pair.KeyPEM)}
	if err := attempt(t, with, func(*tls.Config) {}); err != nil {
		t.Error(err)
	}
	// TLS 1.3 tells after the handshake, 1.2 within.
	if err := attempt(t, TLS{Mode: Require}, func(*tls.Config) {}); !IsAlert(err) {
		t.Errorf("TLS 1.3: %v", err)
	}
	err := attempt(t, TLS{Mode: Require}, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
	if err == nil || !strings.Contains(err.Error(), "it may demand a client certificate it trusts (sslcert, sslkey)") {
		t.Errorf("TLS 1.2: %v", err)
	}
}

func TestHandshakeCutOff(t *testing.T) {
	client, server := net.Pipe()
	defer func() { _, _ = client.Close(), server.Close() }()
	config, _ := ClientConfig("db", TLS{Mode: Require})
	go func() {
		_, _ = server.Read(make([]byte, 4096))
		_ = server.Close()
	}()
	_, err := Handshake(t.Context(), client, config, "db:1")
	if err == nil || err.Error() != "TLS with the target db:1: the target closed the connection during the handshake; its log may say why" {
		t.Error(err)
	}
}

func TestBadKeyPairs(t *testing.T) {
	pair := testenv.CA(t).Client(t, "app")
	other := testenv.CA(t).Client(t, "other")
	encode := func(kind string, headers map[string]string) string {
		key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		der, _ := x509.MarshalECPrivateKey(key)
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Headers: headers, Bytes: der}))
	}
	tests := map[string]struct {
		cert, key string
		want      error
	}{
		"fine":              {pair.CertPEM, pair.KeyPEM, nil},
		"neither":           {"", "", nil},
		"key alone":         {"", pair.KeyPEM, errKeyWithoutCert},
		"cert alone":        {pair.CertPEM, "", errCertWithoutKey},
		"path of cert":      {"/etc/tls.crt", pair.KeyPEM, errNoCert},
		"path of key":       {pair.CertPEM, "/etc/tls.key", errNoKey},
		"swapped":           {pair.KeyPEM, pair.CertPEM, errNoCert},
		"mismatch":          {pair.CertPEM, other.KeyPEM, errKeyMismatch},
		"encrypted":         {pair.CertPEM, encode("ENCRYPTED PRIVATE KEY", nil), errEncryptedKey},
		"encrypted, old":    {pair.CertPEM, encode("EC PRIVATE KEY", map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}), errEncryptedKey},
		"damaged key":       {pair.CertPEM, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("sesame")})), errKeyMismatch},
		"damaged cert":      {string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})), pair.KeyPEM, errKeyMismatch},
		"parameters before": {pair.CertPEM, string(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte("x")})) + pair.KeyPEM, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ClientConfig("db", TLS{Mode: Require, Cert: secret.Copy(test.cert), Key: secret.Copy(test.key)})
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if _, err := ClientConfig("db", TLS{Mode: VerifyCA, RootCert: secret.Copy("no PEM")}); !errors.Is(err, errNoRoots) {
		t.Error(err)
	}
}

// A certificate's names are the other side's text.
func TestLongCertificateTextIsCut(t *testing.T) {
	cert := &x509.Certificate{DNSNames: []string{strings.Repeat("ä", 50_000) + ".example"}}
	err := &Error{Op: OpTLS, Address: "db:1", Err: x509.HostnameError{Certificate: cert, Host: "db"}}
	text := err.Error()
	if len(text) > 500 || !strings.HasSuffix(text, "…; set sslhost to a name in the certificate, or sslmode to verify-ca") {
		t.Errorf("%d bytes: %.400s", len(text), text)
	}
}
