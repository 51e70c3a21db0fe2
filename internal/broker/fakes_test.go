package broker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"secretless/internal/audit"
	"secretless/internal/audit/audittest"
	"secretless/internal/connector"
	"secretless/internal/relay"
)

// connectorFunc is a connector without anything else.
type connectorFunc func(context.Context, *connector.Session) error

func (f connectorFunc) ServeConn(ctx context.Context, s *connector.Session) error { return f(ctx, s) }

// hello says one line and is done.
var hello = connectorFunc(func(_ context.Context, s *connector.Session) error {
	_, err := io.WriteString(s.Client, "here\n")
	return err
})

// lineServer is a target: it greets with its name and echoes.
type lineServer struct {
	name string
	ln   net.Listener
	wg   sync.WaitGroup
	mu   sync.Mutex
	all  map[net.Conn]struct{}
}

func newTarget(t *testing.T, name string) *lineServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &lineServer{name: name, ln: ln, all: map[net.Conn]struct{}{}}
	s.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.all[c] = struct{}{}
			s.mu.Unlock()
			s.wg.Go(func() {
				_, _ = io.WriteString(c, name+"\n")
				// Plain reads and writes: splice keeps pipes open in a pool.
				_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
				_ = c.Close()
				s.mu.Lock()
				delete(s.all, c)
				s.mu.Unlock()
			})
		}
	})
	t.Cleanup(s.close)
	return s
}

func (s *lineServer) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

func (s *lineServer) close() {
	_ = s.ln.Close()
	s.mu.Lock()
	for c := range s.all {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// relayTo reads one line from the client, dials the target and hands over.
// Like a real connector it cleans up after itself.
type relayTo struct {
	target string
	closed atomic.Int64
}

func (r *relayTo) Close() { r.closed.Add(1) }

func (r *relayTo) ServeConn(ctx context.Context, s *connector.Session) error {
	line := make([]byte, 0, 16)
	one := make([]byte, 1)
	for len(line) == 0 || line[len(line)-1] != '\n' {
		if _, err := s.Client.Read(one); err != nil {
			if len(line) == 0 && errors.Is(err, io.EOF) {
				return nil
			}
			return &connector.Failure{Kind: connector.KindProtocol, Err: err}
		}
		line = append(line, one[0])
	}
	target, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.target)
	if err != nil {
		return &connector.Failure{Kind: connector.KindConnect, Err: err}
	}
	return s.Relay(connector.Handoff{Target: target, FromClient: line})
}

// copyRelay is the simplest relay, on the connections themselves.
type copyRelay struct{ wg sync.WaitGroup }

func (r *copyRelay) Start(p relay.Pair) relay.Handle {
	closeBoth := func() { _ = p.Client.Close(); _ = p.Target.Close() }
	r.wg.Go(func() {
		_, _ = p.Target.Write(p.FromClient)
		var out sync.WaitGroup
		out.Go(func() { _, _ = io.Copy(p.Client, p.Target); closeBoth() })
		_, _ = io.Copy(p.Target, p.Client)
		closeBoth()
		out.Wait()
		p.Owner.Done(relay.Result{})
	})
	return stopFunc(closeBoth)
}

func (r *copyRelay) Look(h []relay.Handle, _ bool) []relay.Progress {
	return make([]relay.Progress, len(h))
}

func (r *copyRelay) Close() error { return nil }

type stopFunc func()

func (f stopFunc) Stop(error) { f() }

// memorySink keeps events.
type memorySink struct {
	mu     sync.Mutex
	events []audit.Event
	fail   atomic.Bool
	only   atomic.Pointer[audit.Type] // of what fails, if not all
}

func (m *memorySink) Record(e audit.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e)
}

func (m *memorySink) Require(_ context.Context, e audit.Event) error {
	if only := m.only.Load(); m.fail.Load() && (only == nil || *only == e.Type) {
		return errors.New("disk full")
	}
	m.Record(e)
	return nil
}

func (*memorySink) Lost() uint64 { return 0 }

func (m *memorySink) Close() error { return nil }

func (m *memorySink) all() []audit.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.events)
}

// of returns the events of one type, waiting for n of them.
func (m *memorySink) of(t *testing.T, typ audit.Type, n int) []audit.Event {
	t.Helper()
	var out []audit.Event
	eventually(t, "audit events of type "+string(typ), func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		out = nil
		for _, e := range m.events {
			if e.Type == typ {
				out = append(out, e)
			}
		}
		return len(out) >= n
	})
	return out
}

// logBuffer is a log that a test can read.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type fixture struct {
	*Broker
	log   *logBuffer
	audit *memorySink
}

// newBroker makes a broker on a real relay that the test's end shuts down.
func newBroker(t *testing.T, change ...func(*Options)) *fixture {
	t.Helper()
	f := &fixture{log: &logBuffer{}, audit: &memorySink{}}
	r, err := relay.New(relay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Relay: r, Audit: f.audit, Log: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, c := range change {
		c(&o)
	}
	f.Broker = New(o)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := f.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("closing the relay: %v", err)
		}
		audittest.Events(t, f.audit.all())
		if t.Failed() {
			t.Log(f.log)
		}
	})
	return f
}

func (f *fixture) mustApply(t *testing.T, services ...*Service) {
	t.Helper()
	if err := f.Apply(t.Context(), services); err != nil {
		t.Fatal(err)
	}
}

// address is where the named service listens.
func (f *fixture) address(t *testing.T, name string) string {
	t.Helper()
	for _, s := range f.Status() {
		if s.Name == name && len(s.Addresses) > 0 {
			return s.Addresses[0]
		}
	}
	t.Fatalf("service %q has no address", name)
	return ""
}

func (f *fixture) status(name string) ServiceStatus {
	for _, s := range f.Status() {
		if s.Name == name {
			return s
		}
	}
	return ServiceStatus{}
}

var tcp0 = []Address{{"tcp", "127.0.0.1:0"}}

func service(name string, c connector.Connector) *Service {
	return &Service{
		Name: name, Kind: "fake", Connector: c, Listen: tcp0,
		Socket: Socket{Mode: 0o600, UID: -1, GID: -1},
		Limits: Limits{HandshakeTimeout: 10 * time.Second, ConnectTimeout: time.Second},
		Drain:  time.Minute,
	}
}

func with(s *Service, f func(*Service)) *Service {
	f(s)
	return s
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not seen within 10 s: %s", what)
		}
	}
}

// client is a connection to the broker that speaks lines.
type client struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func dial(t *testing.T, network, address string) *client {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { _ = c.Close() })
	return &client{c, t, bufio.NewReader(c)}
}

func (c *client) say(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) expect(line string) {
	c.t.Helper()
	got, err := c.r.ReadString('\n')
	if err != nil || got != line+"\n" {
		c.t.Fatalf("got %q, %v; want %q", got, err, line)
	}
}

// expectEnd waits for the broker to close, in whatever way.
func (c *client) expectEnd() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.r); errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("the connection is still open, after %q", rest)
	}
}
