package assemble

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"

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
func (c *clientTLS) config(key connector.Credentials, log *slog.Logger) *tls.Config {
	source := &keySource{certPEM: c.certPEM, key: key, log: log}
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
