package sshagent

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"secretless/internal/connector"
	"secretless/internal/connector/connectortest"
	"secretless/internal/peer"
	"secretless/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// front serves the connector on a unix socket. The fields may be changed until
// the first connection.
type front struct {
	*Connector
	credentials *connectortest.Answers
	peer        peer.Identity
	path        string
	log         *buffer
	// unusable is what the audit answers.
	unusable error

	t       *testing.T
	ctx     context.Context
	stop    context.CancelCauseFunc
	running sync.WaitGroup
	accept  func()
	// established counts the calls of Established.
	established atomic.Int64

	mu      sync.Mutex
	uses    []string
	results []error
}

// newFront serves with config and credentials that sets answer, until the test
// ends.
func newFront(t *testing.T, config Config, sets ...map[string]string) *front {
	t.Helper()
	if err := config.complete(); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "agent") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	log := &buffer{}
	f := &front{
		Connector: newConnector(config, slog.New(slog.NewTextHandler(log, nil))), credentials: &connectortest.Answers{Sets: sets},
		path: filepath.Join(dir, "a"), log: log, t: t,
	}
	f.ctx, f.stop = context.WithCancelCause(context.Background())
	listener, err := net.Listen("unix", f.path)
	if err != nil {
		t.Fatal(err)
	}
	f.accept = sync.OnceFunc(func() { f.running.Go(func() { f.serveAll(listener) }) })
	t.Cleanup(func() {
		_ = listener.Close()
		f.stop(errors.New("test ended"))
		f.running.Wait()
		_ = os.RemoveAll(dir)
	})
	return f
}

func (f *front) serveAll(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		f.running.Go(func() {
			err := f.serve(conn, f.ServeConn)
			_ = conn.Close()
			f.mu.Lock()
			f.results = append(f.results, err)
			f.mu.Unlock()
		})
	}
}

func (f *front) serve(conn net.Conn, do func(context.Context, *connector.Session) error) error {
	defer context.AfterFunc(f.ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	return do(f.ctx, &connector.Session{
		ID: 1, Service: "deploy", Client: conn, Log: f.Connector.log, Credentials: f.credentials, Peer: f.peer,
		OnEstablished: func() { f.established.Add(1) },
		OnUse: func(_ context.Context, what string) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.uses = append(f.uses, what)
			return f.unusable
		},
	})
}

// used are the uses so far.
func (f *front) used() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.uses)
}

// result waits for the n-th connection that ended.
func (f *front) result(n int) error {
	f.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		f.mu.Lock()
		results := slices.Clone(f.results)
		f.mu.Unlock()
		if len(results) > n {
			return results[n]
		}
	}
	f.t.Fatalf("connection %d does not end", n)
	return nil
}

func (f *front) dial() net.Conn {
	f.t.Helper()
	f.accept()
	conn, err := net.Dial("unix", f.path)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

func (f *front) client() agent.ExtendedAgent {
	f.t.Helper()
	return agent.NewClient(f.dial())
}

// buffer is a log that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// key is a private key's text and its public half.
type key struct {
	text   string
	public ssh.PublicKey
	signer ssh.Signer
}

// newKey makes a key of kind ed25519, rsa, ecdsa, ecdsa384 or ecdsa521.
func newKey(t testing.TB, kind string) key {
	t.Helper()
	private, err := generate(kind)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "not shown")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return key{string(pem.EncodeToMemory(block)), signer.PublicKey(), signer}
}

func generate(kind string) (crypto.PrivateKey, error) {
	switch kind {
	case "rsa":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "ecdsa":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ecdsa384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ecdsa521":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return private, err
}

// certify is a user certificate of k by a new authority.
func (k key) certify(t testing.TB, change func(*ssh.Certificate)) *ssh.Certificate {
	t.Helper()
	cert := &ssh.Certificate{Key: k.public, CertType: ssh.UserCert, KeyId: "id", ValidPrincipals: []string{"git"}, ValidBefore: ssh.CertTimeInfinity}
	if change != nil {
		change(cert)
	}
	if err := cert.SignCert(rand.Reader, newKey(t, "ed25519").signer); err != nil {
		t.Fatal(err)
	}
	return cert
}

func authorized(k ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(k)) }
