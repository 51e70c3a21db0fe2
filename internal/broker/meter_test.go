package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"secretless/internal/audit"
	"secretless/internal/connector"
	"secretless/internal/relay"
	"secretless/internal/stage"
)

// served is a connector that goes on by itself: it echoes to the end.
var served = connectorFunc(func(ctx context.Context, s *connector.Session) error {
	s.Established()
	_, err := io.Copy(s.Client, s.Client)
	if ctx.Err() != nil {
		return nil
	}
	return err
})

func TestServedConnectionsAreCounted(t *testing.T) {
	b := newBroker(t)
	b.mustApply(t, service("s", served))
	c := dial(t, "tcp", b.address(t, "s"))
	c.say("hello")
	c.expect("hello")
	_ = c.Close()
	e := b.audit.of(t, audit.Closed, 1)[0]
	if e.ToTarget != 6 || e.ToClient != 6 || e.Reason != "" {
		t.Errorf("got %+v", e)
	}
	eventually(t, "the bytes in the status", func() bool {
		s := b.status("s")
		return s.BytesToTarget == 6 && s.BytesToClient == 6 && s.Established == 1
	})
}

func TestWhatFailedHasMovedNothing(t *testing.T) {
	b := newBroker(t)
	b.mustApply(t, service("s", connectorFunc(func(_ context.Context, s *connector.Session) error {
		_, _ = io.ReadFull(s.Client, make([]byte, 6))
		return &connector.Failure{Kind: connector.KindConnect, Err: errors.New("nobody is there")}
	})))
	dial(t, "tcp", b.address(t, "s")).say("hello")
	if e := b.audit.of(t, audit.Failed, 1)[0]; e.ToTarget != 0 || e.ToClient != 0 {
		t.Errorf("got %+v", e)
	}
}

func TestServedConnectionsEndWhenIdle(t *testing.T) {
	b := newBroker(t)
	b.mustApply(t, with(service("s", served), func(s *Service) { s.Limits.IdleTimeout = 50 * time.Millisecond }))
	dial(t, "tcp", b.address(t, "s")).expectEnd()
	if e := b.audit.of(t, audit.Closed, 1)[0]; e.Reason != "idle" {
		t.Errorf("got %+v", e)
	}
	if log := b.log.String(); strings.Contains(log, "level=WARN") {
		t.Errorf("an idle connection is nothing to warn of:\n%s", log)
	}
}

// A connector that serves for a while and hands over then, as for HTTP CONNECT.
func TestServedBeforeTheRelayCountsOnce(t *testing.T) {
	target := newTarget(t, "there")
	b := newBroker(t)
	b.mustApply(t, service("s", connectorFunc(func(_ context.Context, s *connector.Session) error {
		s.Established()
		if _, err := io.ReadFull(s.Client, make([]byte, 6)); err != nil {
			return err
		}
		conn, err := net.Dial("tcp", target.ln.Addr().String())
		if err != nil {
			return err
		}
		return s.Relay(connector.Handoff{Target: conn})
	})))
	c := dial(t, "tcp", b.address(t, "s"))
	c.say("hello")
	c.expect("there")
	_ = c.Close()
	if e := b.audit.of(t, audit.Closed, 1)[0]; e.ToTarget != 6 || e.ToClient != 6 {
		t.Errorf("got %+v", e)
	}
	if n := b.status("s").Established; n != 1 {
		t.Errorf("established %d times", n)
	}
}

// The relay splices sockets, so it must get the socket.
func TestTheRelayGetsTheSocketItself(t *testing.T) {
	one, two := net.Pipe()
	defer func() { _, _ = one.Close(), two.Close() }()
	m := newMeter(one)
	if unmetered(m) != one || unmetered(two) != two {
		t.Error("the meter stays on")
	}
	if secure := tls.Client(m, &tls.Config{}); unmetered(secure) != net.Conn(secure) {
		t.Error("a layer above the meter has been taken off")
	}
}

// With time of its own: any byte, from either side, puts the end off.
func TestIdleTimeoutFollowsTheBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		h := newHandshake(&conn{client: near, gen: newGeneration(
			with(service("s", served), func(s *Service) { s.Limits.IdleTimeout = time.Minute }), slog.New(slog.DiscardHandler), newCounters(),
		)}, serve, func() {}, stage.NoTracer{})
		defer func() {
			h.end()
			_, _ = near.Close(), far.Close()
		}()
		time.Sleep(5 * time.Second) // the handshake is not idleness
		h.establish()
		alive := func(what string) {
			t.Helper()
			if err := context.Cause(h.ctx); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		buf := make([]byte, 1)
		for range 5 {
			time.Sleep(50 * time.Second)
			go func() { _, _ = far.Write(buf) }()
			_, _ = h.meter.Read(buf)
			alive("the client speaks")
			time.Sleep(50 * time.Second)
			go func() { _, _ = far.Read(buf) }()
			_, _ = h.meter.Write(buf)
			alive("the client is spoken to")
		}
		time.Sleep(time.Minute - time.Millisecond)
		alive("not yet")
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if err := context.Cause(h.ctx); !errors.Is(err, relay.ErrIdle) {
			t.Fatalf("got %v", err)
		}
		if _, err := h.meter.Read(buf); err == nil {
			t.Error("the client can still be read from")
		}
	})
}
