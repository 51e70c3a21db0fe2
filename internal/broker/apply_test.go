package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"secretless/internal/audit"
	"secretless/internal/relay"
	"secretless/internal/testenv"
)

// closable counts how often a service was closed.
func closable(s *Service, n *atomic.Int64) *Service {
	s.Close = func() { n.Add(1) }
	return s
}

func TestEqualDigestIsCarriedOver(t *testing.T) {
	target := newTarget(t, "one")
	b := newBroker(t)
	first, second := &relayTo{target: target.ln.Addr().String()}, &relayTo{}
	var closedFirst, closedSecond atomic.Int64
	old := closable(service("svc", first), &closedFirst)
	old.Digest = "same"
	b.mustApply(t, old)
	c := dial(t, "tcp", b.address(t, "svc"))
	c.say("a")
	c.expect("one")
	address := b.address(t, "svc")

	again := closable(service("svc", second), &closedSecond)
	again.Digest = "same"
	b.mustApply(t, again)
	b.mustApply(t, old) // the running value itself
	if closedFirst.Load() != 0 || first.closed.Load() != 0 {
		t.Error("the running service was closed")
	}
	if closedSecond.Load() != 1 || second.closed.Load() != 1 {
		t.Error("the service that was not needed was not closed")
	}
	if now := b.address(t, "svc"); now != address {
		t.Errorf("moved from %s to %s", address, now)
	}
	c.say("b")
	c.expect("a")
	if got := b.status("svc"); got.Active != 1 || got.Draining != 0 {
		t.Errorf("status: %+v", got)
	}
}

func TestChangedServiceKeepsListenerAndDrains(t *testing.T) {
	one, two := newTarget(t, "one"), newTarget(t, "two")
	b := newBroker(t)
	r1, r2 := &relayTo{target: one.ln.Addr().String()}, &relayTo{target: two.ln.Addr().String()}
	b.mustApply(t, service("svc", r1))
	address := b.address(t, "svc")
	old := dial(t, "tcp", address)
	old.say("a")
	old.expect("one")

	b.mustApply(t, service("svc", r2))
	if now := b.address(t, "svc"); now != address {
		t.Errorf("moved from %s to %s", address, now)
	}
	fresh := dial(t, "tcp", address)
	fresh.say("b")
	fresh.expect("two")
	old.expect("a")
	old.say("c")
	old.expect("c")
	if got := b.status("svc"); got.Active != 2 || got.Draining != 1 || got.Accepted != 2 {
		t.Errorf("status: %+v", got)
	}
	if r1.closed.Load() != 0 {
		t.Error("the old connector was closed before its last connection")
	}
	_ = old.Close()
	eventually(t, "the old connector is closed", func() bool { return r1.closed.Load() == 1 })
	eventually(t, "nothing drains", func() bool { return b.status("svc").Draining == 0 })
}

func TestDrainTimeEndsConnections(t *testing.T) {
	target := newTarget(t, "one")
	b := newBroker(t)
	var closed atomic.Int64
	r := &relayTo{target: target.ln.Addr().String()}
	b.mustApply(t, closable(with(service("svc", r), func(s *Service) { s.Drain = 50 * time.Millisecond }), &closed))
	relayed := dial(t, "tcp", b.address(t, "svc"))
	relayed.say("a")
	relayed.expect("one")
	shaking := dial(t, "tcp", b.address(t, "svc"))
	eventually(t, "two connections", func() bool { return b.status("svc").Active == 2 })

	b.mustApply(t) // remove it
	relayed.expect("a")
	relayed.expectEnd()
	shaking.expectEnd()
	eventually(t, "the service is closed", func() bool { return closed.Load() == 1 && r.closed.Load() == 1 })
	if e := b.audit.of(t, audit.Closed, 1)[0]; e.Reason != "stopping" {
		t.Errorf("audit: %+v", e)
	}
	if e := b.audit.of(t, audit.Failed, 1)[0]; e.Reason != "stopping" {
		t.Errorf("audit: %+v", e)
	}
	if got := b.Status(); len(got) != 0 {
		t.Errorf("status: %+v", got)
	}
}

func TestSeveralGenerationsDrainAtOnce(t *testing.T) {
	b := newBroker(t)
	var all []*client
	for i := range 5 {
		target := newTarget(t, strconv.Itoa(i))
		b.mustApply(t, service("svc", &relayTo{target: target.ln.Addr().String()}))
		c := dial(t, "tcp", b.address(t, "svc"))
		c.say("x")
		c.expect(strconv.Itoa(i))
		c.expect("x")
		all = append(all, c)
	}
	if got := b.status("svc"); got.Draining != 4 || got.Active != 5 {
		t.Errorf("status: %+v", got)
	}
	for _, c := range all {
		c.say("y")
		c.expect("y")
	}
}

func TestFailedApplyChangesNothing(t *testing.T) {
	target := newTarget(t, "one")
	b := newBroker(t)
	dir := t.TempDir()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	sock := dir + "/keep.sock"
	keep := func(mode os.FileMode) *Service {
		return with(service("keep", &relayTo{target: target.ln.Addr().String()}), func(s *Service) {
			s.Listen, s.Socket.Mode = []Address{{"unix", sock}}, mode
		})
	}
	b.mustApply(t, keep(0o600))
	c := dial(t, "unix", sock)
	c.say("a")
	c.expect("one")

	var closed atomic.Int64
	err = b.Apply(t.Context(), []*Service{
		closable(keep(0o666), &closed),
		closable(with(service("new", &relayTo{}), func(s *Service) { s.Listen = []Address{{"unix", dir + "/new.sock"}} }), &closed),
		closable(with(service("busy", &relayTo{}), func(s *Service) { s.Listen = []Address{{"tcp", busy.Addr().String()}} }), &closed),
		closable(with(service("lost", &relayTo{}), func(s *Service) { s.Listen = []Address{{"unix", dir + "/none/x.sock"}, {"unix", dir + "/none/y.sock"}} }), &closed),
	})
	if err == nil {
		t.Fatal("applied")
	}
	for _, want := range []string{`service "busy"`, busy.Addr().String(), "is in use", `service "lost"`, "create it first"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	for line := range strings.Lines(err.Error()) {
		if !strings.HasPrefix(line, `service "`) {
			t.Errorf("whose error is this? %s", line)
		}
	}
	if strings.Count(err.Error(), `service "lost"`) != 2 {
		t.Errorf("one of two errors is missing: %v", err)
	}
	if closed.Load() != 4 {
		t.Errorf("%d of 4 services that never ran were closed", closed.Load())
	}
	if _, err := os.Lstat(dir + "/new.sock"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the new socket was left behind: %v", err)
	}
	if i, err := os.Lstat(sock); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("the running service's socket: %v, %v", i.Mode(), err)
	}
	c.say("b")
	c.expect("a")
	fresh := dial(t, "unix", sock)
	fresh.say("c")
	fresh.expect("one")
	if got := b.Status(); len(got) != 1 || got[0].Active != 2 || !b.Ready() {
		t.Errorf("status: %+v", got)
	}
}

func TestSharedAddressNamesBoth(t *testing.T) {
	b := newBroker(t)
	at := func(name, address string) *Service {
		return with(service(name, &relayTo{}), func(s *Service) { s.Listen = []Address{{"tcp", address}} })
	}
	err := b.Apply(t.Context(), []*Service{at("a", "localhost:54999"), at("b", "127.0.0.1:54999")})
	if err == nil || !strings.Contains(err.Error(), `"a"`) || !strings.Contains(err.Error(), `"b"`) {
		t.Errorf("err = %v", err)
	}
	err = b.Apply(t.Context(), []*Service{at("a", "127.0.0.1:0"), at("a", "127.0.0.1:0")})
	if err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("err = %v", err)
	}
}

// From localhost to 127.0.0.1 and back: the socket that both have stays open.
func TestOverlappingAddressIsCarriedOver(t *testing.T) {
	target := newTarget(t, "one")
	b := newBroker(t)
	port := strconv.Itoa(testenv.FreePort(t))
	for _, host := range []string{"localhost", "127.0.0.1", "localhost"} {
		b.mustApply(t, with(service("svc", &relayTo{target: target.ln.Addr().String()}), func(s *Service) {
			s.Listen = []Address{{"tcp", host + ":" + port}}
		}))
		for _, a := range b.status("svc").Addresses {
			c := dial(t, "tcp", a)
			c.say("a")
			c.expect("one")
		}
	}
}

// A port that is open cannot be widened or narrowed; the error does not send the
// user looking for another program.
func TestPortIsNotWidened(t *testing.T) {
	target := newTarget(t, "one")
	b := newBroker(t)
	port := strconv.Itoa(testenv.FreePort(t))
	on := func(host string) *Service {
		return with(service("svc", &relayTo{target: target.ln.Addr().String()}), func(s *Service) {
			s.Listen = []Address{{"tcp", host + ":" + port}}
		})
	}
	for _, hosts := range [][2]string{{"127.0.0.1", ""}, {"", "127.0.0.1"}} {
		b.mustApply(t, on(hosts[0]))
		err := b.Apply(t.Context(), []*Service{on(hosts[1])})
		if err == nil && runtime.GOOS != "linux" {
			continue // other systems can
		}
		if err == nil {
			t.Fatalf("%q to %q works", hosts[0], hosts[1])
		}
		if !strings.Contains(err.Error(), "this broker itself has ") || !strings.Contains(err.Error(), ":"+port+", and") || strings.Contains(err.Error(), "ss -tanp") {
			t.Errorf("%q to %q: %v", hosts[0], hosts[1], err)
		}
		c := dial(t, "tcp", "127.0.0.1:"+port)
		c.say("a")
		c.expect("one")
		b.mustApply(t) // closes the port
	}
}

func TestApplyAfterShutdown(t *testing.T) {
	b := newBroker(t)
	b.mustApply(t, service("svc", &relayTo{}))
	if err := b.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	var closed atomic.Int64
	if err := b.Apply(t.Context(), []*Service{closable(service("svc", &relayTo{}), &closed)}); !errors.Is(err, ErrStopped) {
		t.Errorf("err = %v", err)
	}
	if closed.Load() != 1 || b.Ready() {
		t.Errorf("closed %d times, ready %v", closed.Load(), b.Ready())
	}
}

// The race that endpoint.take prevents: a swap between finding the service and
// counting the connection on it.
func TestTakeAndCountAreOneStep(t *testing.T) {
	g := newGeneration(service("svc", hello), slog.New(slog.DiscardHandler), newCounters())
	e := &endpoint{current: g}
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	g.mu.Lock() // holds up the count
	taken, swapped := make(chan *conn), make(chan int)
	go func() {
		c, _ := e.take(ours)
		taken <- c
	}()
	eventually(t, "the endpoint is locked until the connection is counted", func() bool {
		free := e.mu.TryLock()
		if free {
			e.mu.Unlock()
		}
		return !free
	})
	go func() {
		e.swap(nil)
		swapped <- g.active()
	}()
	g.mu.Unlock()
	if c := <-taken; c.gen != g {
		t.Error("another service was taken")
	}
	if n := <-swapped; n != 1 {
		t.Errorf("after the swap the old service has %d connections, want 1", n)
	}
	if c, v := e.take(ours); c != nil || v != gone {
		t.Error("a retired endpoint yields a connection")
	}
}

// hookRelay calls before between the end of a handshake and its relay.
type hookRelay struct {
	relay.Relay
	before func()
}

func (h *hookRelay) Start(p relay.Pair) relay.Handle {
	h.before()
	return h.Relay.Start(p)
}

// A stop that comes between handshake and relay finds neither a context to
// cancel nor a pair to stop, and must not be lost.
func TestStopDuringTheHandoff(t *testing.T) {
	target := newTarget(t, "one")
	hook := &hookRelay{}
	b := newBroker(t, func(o *Options) { hook.Relay, o.Relay = o.Relay, hook })
	hook.before = func() { b.services["svc"].each(func(c *conn) { c.stop(ErrDraining) }) }
	b.mustApply(t, service("svc", &relayTo{target: target.ln.Addr().String()}))
	c := dial(t, "tcp", b.address(t, "svc"))
	c.say("a")
	c.expectEnd()
	if e := b.audit.of(t, audit.Closed, 1)[0]; e.Reason != "stopping" {
		t.Errorf("audit: %+v", e)
	}
}

// Clients that loop while the service behind their address is swapped again
// and again: none is refused, reset, dropped or answered by a closed service.
// SECRETLESS_SOAK_RELOADS sets how often; script/soak sets it to 10,000.
func TestSwapUnderLoad(t *testing.T) {
	reloads := 300
	if n, err := strconv.Atoi(os.Getenv("SECRETLESS_SOAK_RELOADS")); err == nil {
		reloads = n
	}
	targets := []*lineServer{newTarget(t, "one"), newTarget(t, "two")}
	b := newBroker(t)
	var closes atomic.Int64
	next := func(i int) *Service {
		return closable(with(service("svc", &relayTo{target: targets[i%2].ln.Addr().String()}), func(s *Service) {
			s.Digest = fmt.Sprint(i / 3) // every third is a change
		}), &closes)
	}
	b.mustApply(t, next(0))
	address := b.address(t, "svc")
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var served atomic.Int64
	for range 16 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := exchange(address); err != nil {
					t.Errorf("a client was dropped: %v", err)
					return
				}
				served.Add(1)
			}
		})
	}
	for i := 1; i <= reloads; i++ {
		b.mustApply(t, next(i))
		time.Sleep(time.Millisecond) // let some clients in between
	}
	close(stop)
	clients.Wait()
	if err := b.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if closes.Load() != int64(reloads)+1 {
		t.Errorf("%d services closed of %d", closes.Load(), reloads+1)
	}
	t.Logf("%d reloads, %d connections", reloads, served.Load())
}

func exchange(address string) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, "ping\n"); err != nil {
		return err
	}
	got := make([]byte, len("one\nping\n"))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if s := string(got); s != "one\nping\n" && s != "two\nping\n" {
		return fmt.Errorf("got %q", s)
	}
	return nil
}

func TestShutdownCutShort(t *testing.T) {
	target := newTarget(t, "one")
	b := newBroker(t)
	b.mustApply(t, service("svc", &relayTo{target: target.ln.Addr().String()}))
	c := dial(t, "tcp", b.address(t, "svc"))
	c.say("a")
	c.expect("one")
	c.expect("a")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Shutdown(ctx) }()
	eventually(t, "the broker stops accepting", func() bool { return !b.Ready() })
	c.say("b")
	c.expect("b") // it still drains
	select {
	case err := <-done:
		t.Fatalf("shutdown did not wait: %v", err)
	default:
	}
	cancel()
	c.expectEnd()
	if err := <-done; err != nil {
		t.Error(err)
	}
	eventually(t, "the target is closed", func() bool { return target.open() == 0 })
	if log := b.log.String(); !strings.Contains(log, ErrCutShort.Error()) || strings.Contains(log, ErrDraining.Error()) {
		t.Errorf("another reason was logged:\n%s", log)
	}
	if e := b.audit.of(t, audit.Closed, 1)[0]; e.Reason != "stopping" {
		t.Errorf("audit: %+v", e)
	}
}
