package broker

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"secretless/internal/audit"
	"secretless/internal/connector"
)

func TestRelayedConnection(t *testing.T) {
	target := newTarget(t, "one")
	b := newBroker(t)
	if b.Ready() {
		t.Error("ready before Apply")
	}
	b.mustApply(t, service("svc", &relayTo{target: target.ln.Addr().String()}))
	if !b.Ready() {
		t.Error("not ready after Apply")
	}
	c := dial(t, "tcp", b.address(t, "svc"))
	c.say("hello")
	c.expect("one")
	c.expect("hello")
	if got := b.status("svc"); got.Active != 1 || got.Handshakes != 0 || got.Established != 1 {
		t.Errorf("status while relayed: %+v", got)
	}
	_ = c.Close()
	closed := b.audit.of(t, audit.Closed, 1)[0]
	if closed.ToTarget != 6 || closed.ToClient != 10 || closed.Reason != "" || closed.Connection == 0 {
		t.Errorf("audit: %+v", closed)
	}
	if opened := b.audit.of(t, audit.Opened, 1)[0]; opened.Connection != closed.Connection {
		t.Errorf("opened %d, closed %d", opened.Connection, closed.Connection)
	}
	eventually(t, "the connection is forgotten", func() bool { return b.status("svc").Active == 0 })
	if got := b.status("svc"); got.BytesToTarget != 6 || got.BytesToClient != 10 || got.Accepted != 1 {
		t.Errorf("status after: %+v", got)
	}
}

func TestServedConnection(t *testing.T) {
	b := newBroker(t)
	b.mustApply(t, with(service("svc", connectorFunc(func(ctx context.Context, s *connector.Session) error {
		s.Established()
		_, err := io.Copy(s.Client, s.Client)
		return err
	})), func(s *Service) { s.Limits.HandshakeTimeout = 50 * time.Millisecond }))
	c := dial(t, "tcp", b.address(t, "svc"))
	time.Sleep(100 * time.Millisecond) // past the handshake timeout
	c.say("still there")
	c.expect("still there")
	if got := b.status("svc"); got.Handshakes != 0 || got.Established != 1 {
		t.Errorf("status while served: %+v", got)
	}
	_ = c.Close()
	if e := b.audit.of(t, audit.Closed, 1)[0]; e.Reason != "" {
		t.Errorf("audit: %+v", e)
	}
}

func TestProbeIsNoFailure(t *testing.T) {
	b := newBroker(t)
	b.mustApply(t, service("svc", &relayTo{target: "127.0.0.1:1"}))
	_ = dial(t, "tcp", b.address(t, "svc")).Close()
	b.audit.of(t, audit.Closed, 1)
	if got := b.status("svc"); got.Failed != 0 {
		t.Errorf("status: %+v", got)
	}
}

func TestFailureReachesClientAndAudit(t *testing.T) {
	b := newBroker(t)
	b.mustApply(t, service("svc", connectorFunc(func(_ context.Context, s *connector.Session) error {
		_, _ = s.Client.Read(make([]byte, 1)) // more is left unread, which must not turn the end into a reset
		_, _ = io.WriteString(s.Client, "no such target\n")
		return &connector.Failure{Kind: connector.KindConnect, Err: errors.New("no such target")}
	})))
	c := dial(t, "tcp", b.address(t, "svc"))
	c.say(strings.Repeat("x", 30_000))
	c.expect("no such target")
	if _, err := c.r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the message: %v, want EOF", err)
	}
	_ = c.Close()
	if e := b.audit.of(t, audit.Failed, 1)[0]; e.Reason != "connect" {
		t.Errorf("audit: %+v", e)
	}
	if got := b.status("svc"); got.Failed != 1 || got.Failures["connect"] != 1 {
		t.Errorf("status: %+v", got)
	}
}

func TestHandshakeTimeout(t *testing.T) {
	b := newBroker(t)
	var cause atomic.Value
	b.mustApply(t, with(service("svc", connectorFunc(func(ctx context.Context, s *connector.Session) error {
		_, err := s.Client.Read(make([]byte, 1))
		cause.Store(context.Cause(ctx))
		_, werr := io.WriteString(s.Client, "too slow\n")
		return errors.Join(err, werr)
	})), func(s *Service) { s.Limits.HandshakeTimeout = 50 * time.Millisecond }))
	c := dial(t, "tcp", b.address(t, "svc"))
	c.expect("too slow")
	c.expectEnd()
	if e := b.audit.of(t, audit.Failed, 1)[0]; e.Reason != "timeout" {
		t.Errorf("audit: %+v", e)
	}
	if got := cause.Load(); got != ErrHandshakeTimeout {
		t.Errorf("cause: %v", got)
	}
}

func TestNoStaleDeadlineAfterHandoff(t *testing.T) {
	target := newTarget(t, "one")
	// The event loop knows no deadlines; this relay does.
	copying := &copyRelay{}
	defer copying.wg.Wait()
	b := newBroker(t, func(o *Options) { o.Relay = copying })
	r := &relayTo{target: target.ln.Addr().String()}
	b.mustApply(t, with(service("svc", connectorFunc(func(ctx context.Context, s *connector.Session) error {
		_ = s.Client.SetDeadline(time.Now().Add(100 * time.Millisecond))
		err := r.ServeConn(ctx, s)
		if h := s.Handoff(); h != nil {
			_ = h.Target.SetDeadline(time.Now().Add(100 * time.Millisecond))
		}
		return err
	})), func(s *Service) { s.Limits.HandshakeTimeout = 150 * time.Millisecond }))
	c := dial(t, "tcp", b.address(t, "svc"))
	c.say("a")
	c.expect("one")
	c.expect("a")
	time.Sleep(250 * time.Millisecond)
	c.say("b")
	c.expect("b")
	_ = c.Close()
}

// A pair that is handed over after its time was up is closed, not relayed.
func TestHandoffAfterTheEndOfTheContext(t *testing.T) {
	b := newBroker(t)
	near, far := net.Pipe()
	defer far.Close()
	var closed atomic.Int64
	b.mustApply(t, with(service("svc", connectorFunc(func(ctx context.Context, s *connector.Session) error {
		<-ctx.Done()
		return s.Relay(connector.Handoff{Target: near, Closer: closerFunc(func() { closed.Add(1) })})
	})), func(s *Service) { s.Limits.HandshakeTimeout = 20 * time.Millisecond }))
	dial(t, "tcp", b.address(t, "svc")).expectEnd()
	_ = far.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the target: %v, want EOF", err)
	}
	if e := b.audit.of(t, audit.Failed, 1)[0]; e.Reason != "timeout" || closed.Load() != 1 {
		t.Errorf("audit: %+v, closed %d times", e, closed.Load())
	}
}

func TestPanicEndsOneConnection(t *testing.T) {
	b := newBroker(t)
	const secret = "hunter2-in-a-panic"
	b.mustApply(t, service("svc", connectorFunc(func(_ context.Context, s *connector.Session) error {
		var kind [1]byte
		_, _ = s.Client.Read(kind[:])
		switch kind[0] {
		case 'p':
			panic(secret)
		case 'i':
			var none []int
			_ = none[int(kind[0])]
		}
		_, err := io.WriteString(s.Client, "alive\n")
		return err
	})))
	for _, kind := range []string{"p", "i"} {
		c := dial(t, "tcp", b.address(t, "svc"))
		c.say(kind)
		c.expectEnd()
	}
	c := dial(t, "tcp", b.address(t, "svc"))
	c.say("x")
	c.expect("alive")
	for _, e := range b.audit.of(t, audit.Failed, 2) {
		if e.Reason != "internal" {
			t.Errorf("audit: %+v", e)
		}
	}
	if got := b.status("svc"); got.Panics != 2 {
		t.Errorf("status: %+v", got)
	}
	log := b.log.String()
	if strings.Contains(log, secret) {
		t.Error("the log holds the value of the panic")
	}
	for _, want := range []string{"panic contained", "broker_test.go", "index out of range"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q", want)
		}
	}
}

func TestClientGone(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			b := newBroker(t)
			waiting, ended := make(chan struct{}), make(chan error, 1)
			svc := service("svc", connectorFunc(func(ctx context.Context, s *connector.Session) error {
				_, _ = s.Client.Read(make([]byte, 1))
				close(waiting)
				<-ctx.Done() // as if a provider were slow
				ended <- context.Cause(ctx)
				return ctx.Err()
			}))
			if network == "unix" {
				svc.Listen = []Address{{"unix", t.TempDir() + "/s"}}
			}
			b.mustApply(t, svc)
			c := dial(t, network, b.address(t, "svc"))
			c.say("")
			<-waiting
			_ = c.Close()
			select {
			case err := <-ended:
				if err != ErrClientGone {
					t.Errorf("cause: %v", err)
				}
			case <-time.After(5 * time.Second):
				if runtime.GOOS == "linux" {
					t.Error("the handshake went on without its client")
				}
				return
			}
			if e := b.audit.of(t, audit.Failed, 1)[0]; e.Reason != "client-gone" {
				t.Errorf("audit: %+v", e)
			}
		})
	}
}

// A client that says everything at once and closes its side still gets its
// answer, when the handshake does not take long.
func TestHalfClosedClientIsServed(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			target := newTarget(t, "one")
			b := newBroker(t)
			r := &relayTo{target: target.ln.Addr().String()}
			svc := service("svc", connectorFunc(func(ctx context.Context, s *connector.Session) error {
				time.Sleep(50 * time.Millisecond)
				return r.ServeConn(ctx, s)
			}))
			if network == "unix" {
				svc.Listen = []Address{{"unix", t.TempDir() + "/s"}}
			}
			b.mustApply(t, svc)
			c := dial(t, network, b.address(t, "svc"))
			c.say("all at once")
			_ = c.Conn.(interface{ CloseWrite() error }).CloseWrite()
			c.expect("one")
			c.expect("all at once")
			c.expectEnd()
		})
	}
}

func TestNoListenerNoService(t *testing.T) {
	b := newBroker(t)
	for _, svc := range []*Service{
		with(service("", &relayTo{}), func(s *Service) { s.Listen = nil }),
		with(service("", &relayTo{}), func(s *Service) { s.Listen = []Address{{"udp", "127.0.0.1:1"}} }),
		with(service("", &relayTo{}), func(s *Service) { s.Listen = []Address{{"tcp", "127.0.0.1"}} }),
		with(service("", &relayTo{}), func(s *Service) { s.Listen = []Address{{"unix", "relative"}} }),
		with(service("", &relayTo{}), func(s *Service) { s.Listen = []Address{{"tcp", "192.0.2.1:0"}} }),
		with(service("", &relayTo{}), func(s *Service) { s.Listen = []Address{{"systemd", "x"}} }),
	} {
		if err := b.Apply(t.Context(), []*Service{svc}); err == nil {
			t.Errorf("%v was accepted", svc.Listen)
		} else {
			t.Log(err)
		}
	}
}

func TestLocalhostIsBothFamilies(t *testing.T) {
	b := newBroker(t)
	b.mustApply(t, with(service("svc", connectorFunc(func(_ context.Context, s *connector.Session) error {
		_, err := io.WriteString(s.Client, "here\n")
		return err
	})), func(s *Service) { s.Listen = []Address{{"tcp", "localhost:0"}} }))
	addresses := b.status("svc").Addresses
	if probe, err := net.Listen("tcp", "[::1]:0"); err == nil {
		_ = probe.Close()
		if len(addresses) != 2 {
			t.Fatalf("addresses: %v", addresses)
		}
	}
	for _, a := range addresses {
		dial(t, "tcp", a).expect("here")
	}
}
