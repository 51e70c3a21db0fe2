package broker

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"secretless/internal/audit"
	"secretless/internal/connector"
	"secretless/internal/relay"
)

// echo serves a connection itself, says what ended it, and lingers.
var echo = connectorFunc(func(ctx context.Context, s *connector.Session) error {
	one := make([]byte, 1)
	for {
		if _, err := s.Client.Read(one); err != nil {
			if ctx.Err() != nil {
				_, _ = io.WriteString(s.Client, "ended: "+context.Cause(ctx).Error()+"\n")
				return context.Cause(ctx)
			}
			return nil
		}
		s.Established()
		if _, err := s.Client.Write(one); err != nil {
			return err
		}
	}
})

func (f *fixture) one(t *testing.T, state ConnectionState, service string) ConnectionStatus {
	t.Helper()
	var found ConnectionStatus
	eventually(t, "a connection of "+service+" that is "+string(state), func() bool {
		list, _ := f.Connections(ConnectionQuery{Service: service, Limit: 10})
		for _, c := range list {
			if c.State == state {
				found = c
				return true
			}
		}
		return false
	})
	return found
}

func TestConnections(t *testing.T) {
	target := newTarget(t, "one")
	b := newBroker(t, func(o *Options) { o.Audit, o.Identify = nil, true })
	unix := filepath.Join(t.TempDir(), "s")
	b.mustApply(t,
		service("relayed", &relayTo{target: target.ln.Addr().String()}),
		with(service("served", echo), func(s *Service) {
			s.Members, s.Listen = []string{"web", "api"}, []Address{{"unix", unix}}
		}))

	c := dial(t, "tcp", b.address(t, "relayed"))
	if s := b.one(t, StateHandshake, "relayed"); s.ID == 0 || s.Target != "" || s.Remote != c.LocalAddr().String() || s.Listener != b.address(t, "relayed") {
		t.Errorf("in its handshake: %+v", s)
	}
	c.say("hello")
	c.expect("one")
	c.expect("hello")
	eventually(t, "the bytes of a relayed connection", func() bool {
		s := b.one(t, StateRelaying, "relayed")
		return s.ToTarget == 6 && s.ToClient == 10 && s.Target == target.ln.Addr().String()
	})
	served := dial(t, "unix", unix)
	served.say("hello")
	served.expect("hello")
	eventually(t, "the bytes of a served connection", func() bool {
		s := b.one(t, StateServing, "api")
		return s.ToTarget == 6 && s.ToClient == 6 && s.Idle >= 0 && s.Service == "served"
	})
	if s := b.one(t, StateServing, "web"); !s.Peer.Known || s.Peer.PID == 0 {
		t.Skipf("the platform does not tell who connects: %+v", s.Peer)
	}
	if s := b.one(t, StateRelaying, "relayed"); !s.Peer.Known || int(s.Peer.UID) != os.Getuid() {
		t.Errorf("who has the other end of a TCP socket: %+v", s.Peer)
	}
}

// A listener on every address: each connection has an end of its own.
func TestConnectionsOfEveryAddress(t *testing.T) {
	b := newBroker(t, func(o *Options) { o.Audit, o.Identify = nil, true })
	b.mustApply(t, with(service("served", echo), func(s *Service) { s.Listen = []Address{{"tcp", ":0"}} }))
	_, port, err := net.SplitHostPort(b.address(t, "served"))
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, "tcp", net.JoinHostPort("127.0.0.1", port))
	c.say("hello")
	c.expect("hello")
	s := b.one(t, StateServing, "served")
	if runtime.GOOS == "linux" && (!s.Peer.Known || int(s.Peer.UID) != os.Getuid()) {
		t.Errorf("who is %s: %+v", s.Remote, s.Peer)
	}
}

func TestConnectionsArePaged(t *testing.T) {
	b := newBroker(t)
	b.mustApply(t, service("svc", echo), service("other", echo))
	for range 5 {
		dial(t, "tcp", b.address(t, "svc")).say("x")
	}
	eventually(t, "five connections", func() bool { _, n := b.Connections(ConnectionQuery{}); return n == 5 })
	var seen []uint64
	for after := uint64(0); ; {
		page, total := b.Connections(ConnectionQuery{Service: "svc", After: after, Limit: 2})
		if total != 5 || len(page) > 2 {
			t.Fatalf("%d of %d", len(page), total)
		}
		for _, c := range page {
			seen = append(seen, c.ID)
		}
		if len(page) < 2 {
			break
		}
		after = page[len(page)-1].ID
	}
	for n := range seen[1:] {
		if seen[n] >= seen[n+1] {
			t.Errorf("order %v", seen)
		}
	}
	if len(seen) != 5 {
		t.Errorf("got %v", seen)
	}
	if list, total := b.Connections(ConnectionQuery{Service: "other", Limit: 10}); len(list)+total != 0 {
		t.Errorf("of another service: %d, %d", len(list), total)
	}
}

func TestCloseConnection(t *testing.T) {
	target := newTarget(t, "one")
	b := newBroker(t)
	deaf := make(chan struct{})
	b.mustApply(t, service("relayed", &relayTo{target: target.ln.Addr().String()}), service("served", echo),
		service("deaf", connectorFunc(func(_ context.Context, s *connector.Session) error {
			s.Established()
			<-deaf
			return nil
		})))
	if err := b.CloseConnection(t.Context(), 4711); !errors.Is(err, ErrNoConnection) {
		t.Errorf("one that is not there: %v", err)
	}

	c := dial(t, "tcp", b.address(t, "relayed"))
	c.say("a")
	c.expect("one")
	neighbour := dial(t, "tcp", b.address(t, "relayed"))
	neighbour.say("b")
	neighbour.expect("one")
	neighbour.expect("b")
	if err := b.CloseConnection(t.Context(), b.one(t, StateRelaying, "relayed").ID); err != nil {
		t.Error(err)
	}
	c.expect("a")
	c.expectEnd()
	if e := b.audit.of(t, audit.Closed, 1)[0]; e.Reason != "administrator" || e.ToTarget != 2 {
		t.Errorf("audit: %+v", e)
	}
	neighbour.say("still there")
	neighbour.expect("still there")

	served := dial(t, "tcp", b.address(t, "served"))
	served.say("x")
	served.expect("x")
	id := b.one(t, StateServing, "served").ID
	if err := b.CloseConnection(t.Context(), id); err != nil {
		t.Error(err)
	}
	served.expect("ended: " + ErrAdministrator.Error())
	served.expectEnd()
	if e := b.audit.of(t, audit.Closed, 2)[1]; e.Reason != "administrator" || e.Connection != id {
		t.Errorf("audit: %+v", e)
	}
	if err := b.CloseConnection(t.Context(), id); !errors.Is(err, ErrNoConnection) {
		t.Errorf("closed twice: %v", err)
	}

	waiting := dial(t, "tcp", b.address(t, "served"))
	if err := b.CloseConnection(t.Context(), b.one(t, StateHandshake, "served").ID); err != nil {
		t.Error(err)
	}
	waiting.expect("ended: " + ErrAdministrator.Error())
	if e := b.audit.of(t, audit.Failed, 1)[0]; e.Reason != "administrator" {
		t.Errorf("audit: %+v", e)
	}

	dial(t, "tcp", b.address(t, "deaf"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.CloseConnection(ctx, b.one(t, StateServing, "deaf").ID); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a connector that heeds nothing: %v", err)
	}
	close(deaf)
}

// What Live sums up never shrinks while connections come, move bytes and end.
func TestLiveOnlyGrows(t *testing.T) {
	target := newTarget(t, "one")
	b := newBroker(t)
	b.mustApply(t, service("relayed", &relayTo{target: target.ln.Addr().String()}), service("served", echo))
	stop := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		last := map[string]int64{}
		for {
			for _, s := range b.Live() {
				if now := s.BytesToTarget + s.BytesToClient; now < last[s.Name] {
					t.Errorf("%s: from %d to %d", s.Name, last[s.Name], now)
				} else {
					last[s.Name] = now
				}
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	for range 20 {
		c := dial(t, "tcp", b.address(t, "relayed"))
		c.say("hello")
		c.expect("one")
		c.expect("hello")
		_ = c.Close()
		s := dial(t, "tcp", b.address(t, "served"))
		s.say("hello")
		s.expect("hello")
		_ = s.Close()
	}
	eventually(t, "all to have ended", func() bool { _, n := b.Connections(ConnectionQuery{}); return n == 0 })
	close(stop)
	<-watched
	for _, s := range b.Live() {
		if got := s.BytesToTarget; got != 20*6 {
			t.Errorf("%s: %d bytes", s.Name, got)
		}
	}
}

func TestDrainService(t *testing.T) {
	target := newTarget(t, "one")
	b := newBroker(t)
	if err := b.Drain(); err == nil {
		t.Error("drained before anything was applied")
	}
	path := filepath.Join(t.TempDir(), "s")
	services := func() []*Service {
		return []*Service{
			with(service("db", &relayTo{target: target.ln.Addr().String()}), func(s *Service) {
				s.Digest, s.Listen = "1", []Address{{"unix", path}}
			}),
			with(service("web", echo), func(s *Service) { s.Digest, s.Members = "2", []string{"api", "shop"} }),
		}
	}
	b.mustApply(t, services()...)
	c := dial(t, "unix", path)
	c.say("a")
	c.expect("one")
	c.expect("a")

	for name, want := range map[string]string{
		"dbb": `there is no service "dbb"; there are db, web`,
		"api": `service "api" shares its address with others, and they can only be drained together, as "web"`,
	} {
		if err := b.Drain("db", name); err == nil || err.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !b.Ready() {
		t.Error("a refused drain took readiness away")
	}
	for range 2 { // the second changes nothing
		if err := b.Drain("db"); err != nil {
			t.Fatal(err)
		}
	}
	if b.Ready() {
		t.Error("ready though drained")
	}
	if late, err := net.Dial("unix", path); err == nil {
		_ = late.Close()
		t.Error("a drained service accepts")
	}
	c.say("still works")
	c.expect("still works")
	if s := b.status("db"); !s.Drained || s.Draining != 1 || len(s.Addresses) != 0 {
		t.Errorf("status %+v", s)
	}
	other := dial(t, "tcp", b.address(t, "web"))
	other.say("x")
	other.expect("x")
	_ = other.Close()
	_ = c.Close()
	eventually(t, "the drained service to be empty", func() bool { s := b.status("db"); return s.Drained && s.Active == 0 && s.Draining == 0 })

	// A reload brings it back, with its counters.
	b.mustApply(t, services()...)
	if s := b.status("db"); !b.Ready() || s.Drained || s.Accepted != 1 || len(s.Addresses) != 1 {
		t.Errorf("after the reload: %+v, ready %v", s, b.Ready())
	}
	again := dial(t, "unix", path)
	again.say("b")
	again.expect("one")

	if err := b.Drain(); err != nil {
		t.Fatal(err)
	}
	for _, s := range b.Status() {
		if !s.Drained {
			t.Errorf("not drained: %+v", s)
		}
	}
}

// Connections of a drained service have no deadline until the broker stops;
// from then on their service's drain time runs.
func TestShutdownEndsDrainedServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Options{})
		g := newGeneration(with(service("svc", echo), func(s *Service) { s.Drain = time.Minute }), b.log, newCounters())
		begin, ended := make(chan struct{}), make(chan struct{})
		c := &conn{gen: g, since: time.Now()}
		g.conns[c] = struct{}{}
		g.draining = true
		c.cancel = func(error) { go g.leave(c, outcome{}, relay.Result{}) }
		go func() {
			defer close(ended)
			g.runDown(begin, nil)
		}()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		select {
		case <-ended:
			t.Fatal("ended by itself")
		default:
		}
		close(begin)
		was := time.Now()
		<-ended
		if took := time.Since(was); took < time.Minute || took > 2*time.Minute {
			t.Errorf("ended after %v", took)
		}
	})
}
