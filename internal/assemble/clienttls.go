package assemble

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"secretless/internal/config"
	"secretless/internal/connector"
	"secretless/internal/provider"
)

// clientTLS is what a listener needs to offer TLS. The private key stays with
// its provider until a client asks for TLS.
type clientTLS struct {
	certPEM   []byte
	clientCAs *x509.CertPool
}

// keyName is the key's name in its own set of credentials.
const keyName = "tls.key"

// clientTLS checks the tls section and reads its certificate files. The digest
// covers their content, so that a reload after a renewal takes the new ones.
func (b *build) clientTLS(s *config.Service) (*clientTLS, []provider.Ref, string) {
	if s.TLS == nil {
		return nil, nil, ""
	}
	var out clientTLS
	var err error
	if out.certPEM, err = readCertificates(s.TLS.Cert); err != nil {
		b.errorf(s.TLS.CertPos, "service %q: tls.cert: %v", s.Name, err)
	}
	var ca []byte
	if s.TLS.ClientCA != "" {
		if ca, err = readCertificates(s.TLS.ClientCA); err != nil {
			b.errorf(s.TLS.ClientCAPos, "service %q: tls.clientCA: %v", s.Name, err)
		}
		out.clientCAs = x509.NewCertPool()
		out.clientCAs.AppendCertsFromPEM(ca)
	}
	key := s.TLS.Key
	key.Name = keyName
	ref, digest, ok := b.ref(key)
	if !ok {
		return nil, nil, ""
	}
	sum := sha256.Sum256(append(append([]byte(digest), out.certPEM...), ca...))
	return &out, []provider.Ref{ref}, "tls " + hex.EncodeToString(sum[:])
}

// maxCertificateFile bounds what is read of a certificate file.
const maxCertificateFile = 1 << 20

func readCertificates(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxCertificateFile {
		return nil, fmt.Errorf("%s is not a regular file of at most 1 MiB", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !x509.NewCertPool().AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s holds no PEM certificate", path)
	}
	return data, nil
}

// config makes the listener's configuration. The key is resolved when a
// client asks for TLS and kept parsed for a short while.
func (c *clientTLS) config(key connector.Credentials) *tls.Config {
	source := &keySource{certPEM: c.certPEM, key: key}
	out := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: source.get,
	}
	if c.clientCAs != nil {
		out.ClientCAs = c.clientCAs
		out.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return out
}

// keySource pairs the certificate with the key from a provider.
type keySource struct {
	certPEM []byte
	key     connector.Credentials

	mu     sync.Mutex
	cached *tls.Certificate
	until  time.Time
}

// keyAge is how long a parsed key serves before its provider is asked again.
const keyAge = time.Minute

// keyTimeout bounds a lookup where the handshake brings no context.
const keyTimeout = 10 * time.Second

func (k *keySource) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	cert, fresh := k.cached, time.Now().Before(k.until)
	k.mu.Unlock()
	if fresh {
		return cert, nil
	}
	ctx, cancel := context.WithTimeout(hello.Context(), keyTimeout)
	defer cancel()
	loaded, err := k.load(ctx)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cached, k.until = loaded, time.Now().Add(keyAge)
	return loaded, nil
}

func (k *keySource) load(ctx context.Context) (*tls.Certificate, error) {
	set, err := k.key.Get(ctx)
	if err != nil {
		return nil, fmt.Errorf("fetching tls.key of the listener: %w", err)
	}
	defer set.Wipe()
	pem, _ := set.Get(keyName)
	cert, err := tls.X509KeyPair(k.certPEM, pem.Bytes())
	if err != nil {
		// The parser's error may quote what it read; the key is not repeated.
		return nil, errors.New("tls.key of the listener is no PEM private key that belongs to tls.cert")
	}
	return &cert, nil
}
