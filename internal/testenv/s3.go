package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// S3Server is the Versity S3 gateway on 127.0.0.1, over a directory of its
// own: it verifies Signature Version 4 and knows one account.
type S3Server struct {
	AccessKey, SecretKey, Region string
	// TLS says whether it speaks https, with a certificate of CA.
	TLS  bool
	CA   *PKI
	Port int

	*daemon
}

// NewS3 starts a server for this test alone.
func NewS3(t testing.TB, withTLS bool) *S3Server {
	t.Helper()
	if _, err := os.Stat(versitygw()); err != nil {
		require(t, "the Versity S3 gateway")
	}
	return private(t, func() (*S3Server, error) { return env.newS3(withTLS) })
}

func versitygw() string { return filepath.Join(CacheDir(), "versitygw", "versitygw") }

func (e *environment) newS3(withTLS bool) (*S3Server, error) {
	dir, err := e.newDir("s3")
	if err != nil {
		return nil, err
	}
	s := &S3Server{AccessKey: "REAL" + rand.Text()[:12], SecretKey: rand.Text(), Region: "us-east-1", TLS: withTLS}
	s.daemon = newDaemon(dir, service{name: "S3 gateway", ports: []*int{&s.Port}, program: s.program, ready: s.listens})
	for _, name := range []string{"data", "meta"} {
		if err := os.Mkdir(s.file(name), 0o700); err != nil {
			return nil, err
		}
	}
	if s.TLS {
		if err := s.certify(); err != nil {
			return nil, err
		}
	}
	return s, s.startSomewhere()
}

func (s *S3Server) program() (program, error) {
	args := []string{"--port", s.Address(), "--region", s.Region}
	if s.TLS {
		args = append(args, "--cert", s.file("cert"), "--key", s.file("key"))
	}
	return program{
		Path: versitygw(), Args: append(args, "posix", "--sidecar", s.file("meta"), s.file("data")),
		Env: []string{"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey},
	}, nil
}

func (s *S3Server) certify() error {
	var err error
	if s.CA, err = env.authority(); err != nil {
		return err
	}
	pair, err := s.CA.server(CertECDSA)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(s.file("cert"), []byte(pair.CertPEM), 0o600), os.WriteFile(s.file("key"), []byte(pair.KeyPEM), 0o600))
}

func (s *S3Server) listens(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", s.Address())
	if err != nil {
		return err
	}
	return conn.Close()
}

// Address is host:port.
func (s *S3Server) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }

// URL is where clients find it.
func (s *S3Server) URL() string {
	if s.TLS {
		return "https://" + s.Address()
	}
	return "http://" + s.Address()
}
