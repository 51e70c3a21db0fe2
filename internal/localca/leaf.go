package localca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"
)

const (
	leafLifetime = 24 * time.Hour
	// renewBefore is how long a certificate that is handed out still lives, if
	// its authority does: a connection looks at it once.
	renewBefore = 6 * time.Hour
)

// errHost quotes nothing: the name is whatever a client sent.
var errHost = errors.New("that is no host name or address to make a certificate for")

// checkHost accepts what may stand in a certificate: an address, or a name of
// letters, digits, hyphens and underscores.
func checkHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if host == "" || len(host) > 253 {
		return errHost
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return errHost
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return errHost
			}
		}
	}
	return nil
}

// make makes a certificate for a host. The name stands where RFC 2818 and its
// successors look for it and nowhere else.
func (is *issuer) make(host string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	number, err := serial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: number,
		NotBefore:    now.Add(-margin),
		NotAfter:     earlier(now.Add(leafLifetime), is.cert.NotAfter),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},

		BasicConstraintsValid: true,
	}
	if a, err := netip.ParseAddr(host); err == nil {
		t.IPAddresses = []net.IP{a.AsSlice()}
	} else {
		t.DNSNames = []string{host}
	}
	leaf, err := sign(t, is.cert, &key.PublicKey, is.key)
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	if is.cross != nil && now.Before(is.cross.NotAfter) {
		c.Certificate = append(c.Certificate, is.cross.Raw)
	}
	return c, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
