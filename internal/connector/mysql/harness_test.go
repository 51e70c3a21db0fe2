package mysql

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"secretless/internal/connector"
	"secretless/internal/secret"
	"secretless/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// credentials are the provider side of a test: each lookup yields the next of
// answers, the last one again and again.
type testCredentials struct {
	mu       sync.Mutex
	answers  []map[string]string
	err      error
	cached   bool // Rejected asks for one more lookup
	gets     int
	rejected int
	accepted int
}

func (c *testCredentials) Get(context.Context) (*secret.Set, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gets++
	if c.err != nil {
		return nil, c.err
	}
	values := map[string]secret.Value{}
	for name, text := range c.answers[min(c.gets, len(c.answers))-1] {
		values[name] = secret.Copy(text)
	}
	return secret.NewSet(values), nil
}

func (c *testCredentials) Rejected(*secret.Set) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rejected++
	return c.cached && c.rejected == 1
}

func (c *testCredentials) Drop(set *secret.Set) bool { return c.Rejected(set) }

func (c *testCredentials) Accepted(*secret.Set) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accepted++
}

func (c *testCredentials) lookups() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gets
}

// front is a small broker: it listens, and serves each connection with one
// connector and a relay of two goroutines.
type front struct {
	t           *testing.T
	c           *Connector
	credentials *testCredentials
	clientTLS   *tls.Config
	refuse      *connector.Failure
	log         *slog.Logger
	handshake   time.Duration
	connect     time.Duration

	listener net.Listener
	ctx      context.Context
	stop     context.CancelCauseFunc
	started  sync.Once
	running  sync.WaitGroup
	ids      atomic.Uint64

	mu   sync.Mutex
	errs []error
}

func newFront(t *testing.T, config Config, creds ...map[string]string) *front {
	t.Helper()
	if err := config.complete(); err != nil {
		t.Fatal(err)
	}
	f := &front{t: t, c: newConnector(config), credentials: &testCredentials{answers: creds}, handshake: 10 * time.Second, connect: 5 * time.Second}
	f.ctx, f.stop = context.WithCancelCause(context.Background())
	var err error
	if f.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	f.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	t.Cleanup(f.finish)
	return f
}

// finish ends every connection and waits for it.
func (f *front) finish() {
	_ = f.listener.Close()
	f.stop(errors.New("test ended"))
	f.running.Wait()
}

// addr starts to accept: the fields are set by then.
func (f *front) addr() string {
	f.started.Do(func() { f.running.Go(f.accept) })
	return f.listener.Addr().String()
}

func (f *front) accept() {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.running.Go(func() { f.serve(conn) })
	}
}

func (f *front) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(f.ctx, f.handshake)
	unwatch := context.AfterFunc(ctx, func() {
		_ = conn.SetReadDeadline(time.Unix(1, 0))
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	})
	s := &connector.Session{
		ID: f.ids.Add(1), Service: "orders-db", Client: conn,
		Log:         f.log,
		Credentials: f.credentials, ClientTLS: f.clientTLS, ConnectTimeout: f.connect,
	}
	var err error
	if f.refuse != nil {
		err = f.c.Refuse(ctx, s, f.refuse)
	} else {
		err = f.c.ServeConn(ctx, s)
	}
	unwatch()
	cancel()
	f.mu.Lock()
	f.errs = append(f.errs, err)
	f.mu.Unlock()
	if h := s.Handoff(); h != nil && err == nil {
		relay(f.ctx, s.Client, h)
		return
	}
	hangUp(conn)
}

// hangUp lets the last message reach a client that is still sending.
func hangUp(conn net.Conn) {
	if half, ok := conn.(*net.TCPConn); ok && half.CloseWrite() == nil {
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = io.Copy(io.Discard, conn)
	}
}

// relay moves bytes until one side ends, and closes both.
func relay(ctx context.Context, client net.Conn, h *connector.Handoff) {
	_ = client.SetDeadline(time.Time{})
	_ = h.Target.SetDeadline(time.Time{})
	var both sync.WaitGroup
	closeBoth := func() { _, _ = client.Close(), h.Target.Close() }
	defer context.AfterFunc(ctx, closeBoth)()
	pump := func(to, from net.Conn, ahead []byte) {
		defer closeBoth()
		if _, err := to.Write(ahead); err == nil {
			_, _ = io.Copy(to, from)
		}
	}
	both.Go(func() { pump(h.Target, client, h.FromClient) })
	pump(client, h.Target, h.FromTarget)
	both.Wait()
	if h.Closed != nil {
		h.Closed()
	}
}

// result is what the n-th connection ended its handshake with.
func (f *front) result(n int) error {
	f.t.Helper()
	for range 500 {
		f.mu.Lock()
		done := len(f.errs) > n
		f.mu.Unlock()
		if done {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.errs[n]
		}
		time.Sleep(10 * time.Millisecond)
	}
	f.t.Fatalf("connection %d did not end its handshake", n)
	return nil
}
