package testenv

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// S3Server is the Versity S3 gateway on 127.0.0.1, over a directory of its
// own: it verifies Signature Version 4 and knows one account.
type S3Server struct {
	AccessKey, SecretKey, Region string
	// TLS says whether it speaks https, with a certificate of CA.
	TLS  bool
	CA   *PKI
	Port int

	dir  string
	proc *process
}

// NewS3 starts a server for this test alone.
func NewS3(t testing.TB, withTLS bool) *S3Server {
	t.Helper()
	program := filepath.Join(CacheDir(), "versitygw", "versitygw")
	if _, err := os.Stat(program); err != nil {
		require(t, "the Versity S3 gateway")
	}
	s := &S3Server{AccessKey: "REAL" + rand.Text()[:12], SecretKey: rand.Text(), Region: "us-east-1", TLS: withTLS}
	if err := s.start(program); err != nil {
		t.Fatalf("start the S3 server: %v", err)
	}
	t.Cleanup(s.Stop)
	return s
}

func (s *S3Server) start(program string) error {
	base, err := env.baseDir()
	if err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp(base, "s3"); err != nil {
		return err
	}
	for _, name := range []string{"data", "meta"} {
		if err := os.Mkdir(s.file(name), 0o700); err != nil {
			return err
		}
	}
	if s.Port, err = freePort(false); err != nil {
		return err
	}
	args := []string{"--port", s.Address(), "--region", s.Region}
	if s.TLS {
		if err := s.certify(); err != nil {
			return err
		}
		args = append(args, "--cert", s.file("cert"), "--key", s.file("key"))
	}
	log, err := os.Create(s.file("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, append(args, "posix", "--sidecar", s.file("meta"), s.file("data"))...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey}
	if s.proc, err = startProcess(cmd); err != nil {
		return err
	}
	env.mu.Lock()
	env.running[s] = struct{}{}
	env.mu.Unlock()
	return s.ready()
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

func (s *S3Server) ready() error {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if s.proc.ended() {
			return fmt.Errorf("it ended (%w): %s", s.proc.err, s.Log())
		}
		conn, err := net.Dial("tcp", s.Address())
		if err == nil {
			return conn.Close()
		}
	}
	return errors.New("it does not answer: " + s.Log())
}

func (s *S3Server) file(name string) string { return filepath.Join(s.dir, name) }

// Address is host:port.
func (s *S3Server) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }

// URL is where clients find it.
func (s *S3Server) URL() string {
	if s.TLS {
		return "https://" + s.Address()
	}
	return "http://" + s.Address()
}

// Log is what it has logged so far.
func (s *S3Server) Log() string {
	b, _ := os.ReadFile(s.file("log"))
	return string(b)
}

// Stop ends it and removes its data. It may be called twice.
func (s *S3Server) Stop() {
	_ = s.proc.stop(10*time.Second, syscall.SIGTERM, syscall.SIGKILL)
	_ = os.RemoveAll(s.dir)
}
