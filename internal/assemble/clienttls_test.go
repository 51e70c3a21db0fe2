package assemble_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"secretless/internal/testenv"
)

// withTLS is a service whose key is at the fake provider under "k".
func withTLS(cert, more string) string {
	return head + "    credentials: { host: x }\n    tls: { cert: " + cert + ", key: { from: mine, get: k }" + more + " }\n" +
		"providers:\n  mine: { type: vault, cache: 10m }\n"
}

// shake makes a TLS handshake in memory and returns the server's certificate,
// or the error that the server has.
func shake(t *testing.T, server *tls.Config, client *tls.Config) (*x509.Certificate, error) {
	t.Helper()
	near, far := net.Pipe()
	defer func() { _, _ = near.Close(), far.Close() }()
	type end struct {
		cert *x509.Certificate
		err  error
	}
	done := make(chan end, 1)
	go func() {
		c := tls.Client(near, client)
		err := c.Handshake()
		if err == nil {
			_, err = c.Read(make([]byte, 1)) // TLS 1.3 refuses a client after its handshake
		}
		var e end
		if state := c.ConnectionState(); len(state.PeerCertificates) > 0 {
			e.cert = state.PeerCertificates[0]
		}
		e.err = err
		done <- e
		_ = near.Close()
	}()
	s := tls.Server(far, server)
	err := s.Handshake()
	if err == nil {
		_, _ = s.Write([]byte("x"))
	} else {
		_ = far.Close()
	}
	return (<-done).cert, err
}

func anyServer() *tls.Config { return &tls.Config{InsecureSkipVerify: true} } //nolint:gosec // the test compares certificates

func TestClientTLS(t *testing.T) {
	pair := testenv.CA(t).Server(t, testenv.CertECDSA)
	c := newCensus()
	a := c.assembler(t)
	built := mustBuild(t, a, withTLS(testenv.WriteFile(t, "crt", pair.CertPEM), ""))
	defer built.Discard()
	config := built.Services[0].ClientTLS
	if c.lookups() != 0 {
		t.Error("Build has read a secret")
	}

	c.failWith(errors.New("sealed"))
	if _, err := shake(t, config, anyServer()); err == nil || !strings.Contains(err.Error(), "fetching tls.key of the listener: provider mine: k: sealed") {
		t.Errorf("got %v", err)
	}
	c.failWith(nil)
	c.set("k", "sesame-8731, no key")
	_, err := shake(t, config, anyServer())
	if err == nil || err.Error() != "tls.key of the listener is no PEM private key that belongs to tls.cert" {
		t.Errorf("got %v", err)
	}
	c.set("k", pair.KeyPEM) // the wrong one is in the cache for ten minutes
	if _, err := shake(t, config, anyServer()); err != nil {
		t.Errorf("a corrected key is not used: %v", err)
	}
	if _, err := shake(t, config, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil { //nolint:gosec // that is the test
		t.Error("TLS 1.1 is spoken")
	}
	asked := c.lookups()
	for range 5 {
		if _, err := shake(t, config, anyServer()); err != nil {
			t.Fatal(err)
		}
	}
	if c.lookups() != asked {
		t.Error("each handshake asks the provider")
	}
}

// A pair that worked serves on while the provider is down, and while the key
// has been renewed and the broker has not been told to reload yet.
func TestRenewedKey(t *testing.T) {
	old, renewed := testenv.CA(t).Server(t, testenv.CertECDSA), testenv.CA(t).Server(t, testenv.CertECDSA)
	path := testenv.WriteFile(t, "crt", old.CertPEM)
	synctest.Test(t, func(t *testing.T) {
		c := newCensus()
		a := c.assembler(t)
		defer a.Close()
		c.set("k", old.KeyPEM)
		built := mustBuild(t, a, withTLS(path, ""))
		built.Commit()
		shows := func(want testenv.KeyPair) {
			t.Helper()
			parsed, err := tls.X509KeyPair([]byte(want.CertPEM), []byte(want.KeyPEM))
			if err != nil {
				t.Fatal(err)
			}
			got, err := shake(t, built.Services[0].ClientTLS, anyServer())
			if err != nil {
				t.Fatal(err)
			}
			if !got.Equal(parsed.Leaf) {
				t.Error("another certificate is shown")
			}
		}
		shows(old)
		time.Sleep(11 * time.Minute)
		c.failWith(errors.New("sealed"))
		shows(old)
		c.failWith(nil)
		c.set("k", renewed.KeyPEM)
		time.Sleep(11 * time.Minute)
		shows(old)
		if err := os.WriteFile(path, []byte(renewed.CertPEM), 0o600); err != nil {
			t.Fatal(err)
		}
		next := mustBuild(t, a, withTLS(path, ""))
		if next.Services[0].Digest == built.Services[0].Digest {
			t.Error("a renewed certificate is not noticed by a reload")
		}
		closeAsBroker(built, 0)
		next.Commit()
		built = next
		shows(renewed)
		closeAsBroker(built, 0)
	})
}

func TestClientCertificateIsDemanded(t *testing.T) {
	ca := testenv.CA(t)
	pair := ca.Server(t, testenv.CertECDSA)
	c := newCensus()
	c.set("k", pair.KeyPEM)
	a := c.assembler(t)
	built := mustBuild(t, a, withTLS(testenv.WriteFile(t, "crt", pair.CertPEM), ", clientCA: "+testenv.WriteFile(t, "ca", ca.CAPEM)))
	defer built.Discard()
	if _, err := shake(t, built.Services[0].ClientTLS, anyServer()); err == nil {
		t.Error("a client without a certificate gets in")
	}
	own := ca.Client(t, "app")
	cert, err := tls.X509KeyPair([]byte(own.CertPEM), []byte(own.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	client := anyServer()
	client.Certificates = []tls.Certificate{cert}
	if _, err := shake(t, built.Services[0].ClientTLS, client); err != nil {
		t.Error(err)
	}
}
