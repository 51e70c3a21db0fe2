package testenv

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
)

// Certificate is the pair as Go's TLS takes it.
func (k KeyPair) Certificate(t testing.TB) *tls.Certificate {
	t.Helper()
	cert, err := tls.X509KeyPair([]byte(k.CertPEM), []byte(k.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	return &cert
}

// Pool trusts the authority.
func (p *PKI) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.cert)
	return pool
}

// JTDS finds java and the jTDS driver. Java runs a single source file only
// where the JDK is installed.
func JTDS(t testing.TB) (java, jar string) {
	t.Helper()
	java, jar = Tool(t, "java"), "/usr/share/java/jtds.jar"
	if _, err := os.Stat(jar); err != nil {
		require(t, "the jTDS driver")
	}
	return java, jar
}
