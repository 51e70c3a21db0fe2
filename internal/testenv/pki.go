package testenv

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// PKI is a certificate authority for one test process. Its key never leaves
// the process.
type PKI struct {
	// CAPEM is the authority's certificate.
	CAPEM string
	// OtherCAPEM is another authority's, which has signed nothing.
	OtherCAPEM string

	cert *x509.Certificate
	key  crypto.Signer
}

// KeyPair is a certificate and its private key (PKCS #8), both PEM.
type KeyPair struct{ CertPEM, KeyPEM string }

// Cert chooses what certificate a server shows.
type Cert int

// The certificates of servers. All but CertWrongHost are for localhost,
// 127.0.0.1 and ::1.
const (
	CertECDSA     Cert = iota // P-256, signed with SHA-256
	CertRSA                   // RSA 2048, signed with SHA-512: another channel binding hash
	CertWrongHost             // for wrong.example only
	CertExpired               // ended an hour ago
	CertOtherCA               // signed by an authority that nobody trusts
)

// CA is the process's certificate authority, made when first asked for.
func CA(t testing.TB) *PKI {
	t.Helper()
	pki, err := env.authority()
	if err != nil {
		t.Fatal(err)
	}
	return pki
}

func (e *environment) authority() (*PKI, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pki != nil {
		return e.pki, nil
	}
	pki, err := newPKI("secretless test authority")
	if err != nil {
		return nil, err
	}
	other, err := newPKI("another test authority")
	if err != nil {
		return nil, err
	}
	pki.OtherCAPEM = other.CAPEM
	e.pki = pki
	return pki, nil
}

func newPKI(name string) (*PKI, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := template509(name, time.Now().Add(24*time.Hour))
	tmpl.IsCA, tmpl.BasicConstraintsValid = true, true
	tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &PKI{CAPEM: pemText("CERTIFICATE", der), cert: cert, key: key}, nil
}

func template509(name string, until time.Time) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-48 * time.Hour),
		NotAfter:     until,
	}
}

// Client makes a client certificate for the common name cn.
func (p *PKI) Client(t testing.TB, cn string) KeyPair {
	t.Helper()
	pair, err := p.client(cn)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func (p *PKI) client(cn string, organizations ...string) (KeyPair, error) {
	tmpl := template509(cn, time.Now().Add(24*time.Hour))
	tmpl.Subject.Organization = organizations
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return p.issue(tmpl, false)
}

// Server makes a server certificate.
func (p *PKI) Server(t testing.TB, kind Cert) KeyPair {
	t.Helper()
	pair, err := p.server(kind)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// ServerFor makes a certificate for these names and IP addresses.
func (p *PKI) ServerFor(t testing.TB, hosts ...string) KeyPair {
	t.Helper()
	tmpl := template509(hosts[0], time.Now().Add(24*time.Hour))
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
			continue
		}
		tmpl.DNSNames = append(tmpl.DNSNames, h)
	}
	pair, err := p.issue(tmpl, false)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func (p *PKI) server(kind Cert) (KeyPair, error) {
	until := time.Now().Add(24 * time.Hour)
	if kind == CertExpired {
		until = time.Now().Add(-time.Hour)
	}
	tmpl := template509("localhost", until)
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	tmpl.DNSNames = []string{"localhost"}
	tmpl.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	switch kind {
	case CertRSA:
		tmpl.SignatureAlgorithm = x509.ECDSAWithSHA512
	case CertWrongHost:
		tmpl.Subject.CommonName = "wrong.example"
		tmpl.DNSNames, tmpl.IPAddresses = []string{"wrong.example"}, nil
	case CertOtherCA:
		other, err := newPKI("an authority nobody trusts")
		if err != nil {
			return KeyPair{}, err
		}
		p = other
	}
	return p.issue(tmpl, kind == CertRSA)
}

func (p *PKI) issue(tmpl *x509.Certificate, withRSA bool) (KeyPair, error) {
	var key crypto.Signer
	var err error
	if withRSA {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return KeyPair{}, err
	}
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, tmpl, p.cert, key.Public(), p.key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("issue certificate for %s: %w", tmpl.Subject.CommonName, err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return KeyPair{}, err
	}
	return KeyPair{CertPEM: pemText("CERTIFICATE", der), KeyPEM: pemText("PRIVATE KEY", secret)}, nil
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// Files writes the pair where the test's clients can read it.
func (k KeyPair) Files(t testing.TB) (cert, key string) {
	t.Helper()
	return WriteFile(t, "client.crt", k.CertPEM), WriteFile(t, "client.key", k.KeyPEM)
}

// WriteFile writes text to a new file that only the owner can read and returns
// its path.
func WriteFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
