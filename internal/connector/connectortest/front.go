package connectortest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"secretless/internal/connector"
)

// Front is a small broker for a connector's own tests: it listens, serves each
// connection with the connector and relays with two goroutines. The fields may
// be changed until the first call of Addr.
type Front[C connector.Connector] struct {
	Connector   C
	Credentials *Answers
	ClientTLS   *tls.Config
	// Refuse, if any, is why every connection is refused.
	Refuse *connector.Failure
	Log    *slog.Logger
	// Handshake and Connect are the two timeouts.
	Handshake, Connect time.Duration

	t        testing.TB
	listener net.Listener
	ctx      context.Context
	stop     context.CancelCauseFunc
	started  sync.Once
	running  sync.WaitGroup
	ids      atomic.Uint64

	mu   sync.Mutex
	errs []error
}

// NewFront serves with c and credentials that sets answer, until the test ends.
func NewFront[C connector.Connector](t testing.TB, c C, sets ...map[string]string) *Front[C] {
	t.Helper()
	f := &Front[C]{
		Connector: c, Credentials: &Answers{Sets: sets}, Log: slog.New(slog.DiscardHandler),
		Handshake: 10 * time.Second, Connect: 5 * time.Second, t: t,
	}
	f.ctx, f.stop = context.WithCancelCause(context.Background())
	var err error
	if f.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Finish()
		if closer, ok := any(f.Connector).(connector.Closer); ok {
			closer.Close()
		}
	})
	return f
}

// Stop ends every handshake with cause, as a broker that stops does.
func (f *Front[C]) Stop(cause error) { f.stop(cause) }

// Finish ends every connection and waits for it.
func (f *Front[C]) Finish() {
	_ = f.listener.Close()
	f.stop(errors.New("test ended"))
	f.running.Wait()
}

// Addr is where clients connect.
func (f *Front[C]) Addr() string {
	f.started.Do(func() { f.running.Go(f.accept) })
	return f.listener.Addr().String()
}

// Port is the port of Addr.
func (f *Front[C]) Port() string {
	_, port, _ := net.SplitHostPort(f.Addr())
	return port
}

// Result is what the n-th connection ended its handshake with.
func (f *Front[C]) Result(n int) error {
	f.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if errs := f.Results(); len(errs) > n {
			return errs[n]
		}
	}
	f.t.Fatalf("connection %d did not end its handshake", n)
	return nil
}

// Results are the handshakes that have ended so far.
func (f *Front[C]) Results() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]error(nil), f.errs...)
}

func (f *Front[C]) accept() {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.running.Go(func() { f.serve(conn) })
	}
}

func (f *Front[C]) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(f.ctx, f.Handshake)
	unwatch := context.AfterFunc(ctx, func() {
		_ = conn.SetReadDeadline(time.Unix(1, 0))
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	})
	s := &connector.Session{
		ID: f.ids.Add(1), Service: "orders-db", Client: conn, Log: f.Log,
		Credentials: f.Credentials, ClientTLS: f.ClientTLS, ConnectTimeout: f.Connect,
	}
	err := f.converse(ctx, s)
	unwatch()
	cancel()
	f.mu.Lock()
	f.errs = append(f.errs, err)
	f.mu.Unlock()
	if h := s.Handoff(); h != nil && err == nil {
		relayPair(f.ctx, s.Client, h)
		return
	}
	hangUp(conn)
}

func (f *Front[C]) converse(ctx context.Context, s *connector.Session) error {
	if f.Refuse == nil {
		return f.Connector.ServeConn(ctx, s)
	}
	refuser, ok := any(f.Connector).(connector.Refuser)
	if !ok {
		return errors.New("the connector cannot refuse")
	}
	return refuser.Refuse(ctx, s, f.Refuse)
}

// hangUp lets the last message reach a client that is still sending.
func hangUp(conn net.Conn) {
	if half, ok := conn.(*net.TCPConn); ok && half.CloseWrite() == nil {
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = io.Copy(io.Discard, conn)
	}
}

// relayPair moves bytes until one side ends, and closes both.
func relayPair(ctx context.Context, client net.Conn, h *connector.Handoff) {
	_ = client.SetDeadline(time.Time{})
	_ = h.Target.SetDeadline(time.Time{})
	closeBoth := func() { _, _ = client.Close(), h.Target.Close() }
	defer context.AfterFunc(ctx, closeBoth)()
	pump := func(to, from net.Conn, ahead []byte) {
		defer closeBoth()
		if _, err := to.Write(ahead); err == nil {
			_, _ = io.Copy(to, from)
		}
	}
	var both sync.WaitGroup
	both.Go(func() { pump(h.Target, client, h.FromClient) })
	pump(client, h.Target, h.FromTarget)
	both.Wait()
	if h.Closer != nil {
		_ = h.Closer.Close()
	}
}
