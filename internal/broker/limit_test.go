package broker

import (
	"context"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"secretless/internal/audit"
	"secretless/internal/connector"
	"secretless/internal/peer"
)

// refusing is relayTo with a way to say no.
type refusing struct {
	relayTo
	hang    atomic.Bool
	refused atomic.Int64
}

func (r *refusing) Refuse(ctx context.Context, s *connector.Session, why *connector.Failure) error {
	r.refused.Add(1)
	if r.hang.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	_, err := io.WriteString(s.Client, "no: "+why.Kind.String()+"\n")
	return err
}

func limited(s *Service) { s.Limits.Connections = 2 }

func TestLimitWithoutRefuserCloses(t *testing.T) {
	target := newTarget(t, "one")
	b := newBroker(t)
	b.mustApply(t, with(service("svc", &relayTo{target: target.ln.Addr().String()}), limited))
	first := dial(t, "tcp", b.address(t, "svc"))
	first.say("a")
	first.expect("one")
	waiting := dial(t, "tcp", b.address(t, "svc")) // its handshake counts as well
	eventually(t, "two connections", func() bool { return b.status("svc").Active == 2 })
	dial(t, "tcp", b.address(t, "svc")).expectEnd()
	if e := b.audit.of(t, audit.Refused, 1)[0]; e.Reason != "limit" {
		t.Errorf("audit: %+v", e)
	}
	_ = first.Close()
	eventually(t, "room again", func() bool { return b.status("svc").Active == 1 })
	next := dial(t, "tcp", b.address(t, "svc"))
	next.say("b")
	next.expect("one")
	waiting.say("c")
	waiting.expect("one")
	if got := b.status("svc"); got.Refused != 1 || got.Accepted != 4 {
		t.Errorf("status: %+v", got)
	}
}

func TestLimitWithRefuserAnswers(t *testing.T) {
	target := newTarget(t, "one")
	b := newBroker(t)
	r := &refusing{relayTo: relayTo{target: target.ln.Addr().String()}}
	b.mustApply(t, with(service("svc", r), limited))
	for range 2 {
		c := dial(t, "tcp", b.address(t, "svc"))
		c.say("a")
		c.expect("one")
	}
	over := dial(t, "tcp", b.address(t, "svc"))
	over.expect("no: limit")
	over.expectEnd()
	eventually(t, "two connections", func() bool { return b.status("svc").Active == 2 })
}

func TestRefusalsAreBounded(t *testing.T) {
	b := newBroker(t)
	r := &refusing{relayTo: relayTo{target: "127.0.0.1:1"}}
	r.hang.Store(true)
	b.mustApply(t, with(service("svc", r), func(s *Service) { s.Limits.Connections = 1 }))
	_ = dial(t, "tcp", b.address(t, "svc"))
	eventually(t, "the service is full", func() bool { return b.status("svc").Active == 1 })
	for range maxRefusals {
		_ = dial(t, "tcp", b.address(t, "svc"))
	}
	eventually(t, "all refusals hang", func() bool { return r.refused.Load() == maxRefusals })
	dial(t, "tcp", b.address(t, "svc")).expectEnd()
	if n := r.refused.Load(); n != maxRefusals {
		t.Errorf("%d refusals at a time", n)
	}
}

func TestHandshakesAreBounded(t *testing.T) {
	target := newTarget(t, "one")
	b := newBroker(t, func(o *Options) { o.MaxHandshakes = 2 })
	b.mustApply(t, service("svc", &relayTo{target: target.ln.Addr().String()}))
	one, two := dial(t, "tcp", b.address(t, "svc")), dial(t, "tcp", b.address(t, "svc"))
	eventually(t, "two handshakes", func() bool { return b.status("svc").Handshakes == 2 })
	dial(t, "tcp", b.address(t, "svc")).expectEnd()
	one.say("a")
	one.expect("one")
	two.say("b")
	two.expect("one")
	eventually(t, "no handshake", func() bool { return b.status("svc").Handshakes == 0 })
	three := dial(t, "tcp", b.address(t, "svc"))
	three.say("c")
	three.expect("one")
}

func TestPolicyRefusesBeforeAByteIsRead(t *testing.T) {
	stranger, err := peer.NewPolicy(peer.Allow{Users: []string{strconv.Itoa(os.Getuid() + 1)}})
	if err != nil {
		t.Fatal(err)
	}
	me, err := peer.NewPolicy(peer.Allow{Users: []string{strconv.Itoa(os.Getuid())}})
	if err != nil {
		t.Fatal(err)
	}
	if peer.Supported("tcp", "127.0.0.1:1") != nil {
		t.Skip("peers are unknown here")
	}
	target := newTarget(t, "one")
	b := newBroker(t)
	var reached atomic.Int64
	closed := connectorFunc(func(context.Context, *connector.Session) error { reached.Add(1); return nil })
	var known atomic.Value
	open := &relayTo{target: target.ln.Addr().String()}
	b.mustApply(t,
		with(service("closed", closed), func(s *Service) { s.Allow = stranger }),
		with(service("open", connectorFunc(func(ctx context.Context, s *connector.Session) error {
			known.Store(s.Peer)
			return open.ServeConn(ctx, s)
		})), func(s *Service) { s.Allow = me }),
	)
	c := dial(t, "tcp", b.address(t, "closed"))
	c.say("let me in")
	c.expectEnd()
	e := b.audit.of(t, audit.Refused, 1)[0]
	if e.Reason != "peer" || !e.Peer.Known || int(e.Peer.UID) != os.Getuid() {
		t.Errorf("audit: %+v", e)
	}
	// Counted last of all: after the client's end, the audit and the log.
	eventually(t, "the refusal is counted", func() bool { return b.status("closed").Refused == 1 })
	if reached.Load() != 0 {
		t.Errorf("the connector was reached %d times", reached.Load())
	}
	eventually(t, "the refusal is logged", func() bool { return strings.Contains(b.log.String(), "peer refused") })
	c = dial(t, "tcp", b.address(t, "open"))
	c.say("a")
	c.expect("one")
	if p := known.Load().(peer.Identity); !p.Known || int(p.UID) != os.Getuid() {
		t.Errorf("the connector was told %+v", p)
	}
}

// One slow look at a peer holds up nobody else.
func TestSlowPolicyCheckStallsNobody(t *testing.T) {
	target := newTarget(t, "one")
	b := newBroker(t)
	release := make(chan struct{})
	var first atomic.Bool
	b.check = func(*peer.Policy, net.Conn) (peer.Identity, error) {
		if first.CompareAndSwap(false, true) {
			<-release
		}
		return peer.Identity{}, nil
	}
	svc := service("svc", &relayTo{target: target.ln.Addr().String()})
	if policy, err := peer.NewPolicy(peer.Allow{Users: []string{"0"}}); err == nil && peer.Supported("tcp", "127.0.0.1:1") == nil {
		svc.Allow = policy
	} else {
		t.Skip("no policies here")
	}
	b.mustApply(t, svc)
	slow := dial(t, "tcp", b.address(t, "svc"))
	eventually(t, "the slow check began", first.Load)
	quick := dial(t, "tcp", b.address(t, "svc"))
	quick.say("a")
	quick.expect("one")
	close(release)
	slow.say("b")
	slow.expect("one")
}

func TestPolicyThatCannotBeEnforcedIsAStartUpError(t *testing.T) {
	policy, err := peer.NewPolicy(peer.Allow{Users: []string{"0"}})
	if err != nil {
		t.Skip(err)
	}
	b := newBroker(t)
	svc := with(service("svc", &relayTo{}), func(s *Service) {
		s.Allow, s.Listen = policy, []Address{{"tcp", "0.0.0.0:0"}}
	})
	err = b.Apply(t.Context(), []*Service{svc})
	if err == nil || !strings.Contains(err.Error(), "allow cannot be enforced") {
		t.Fatalf("err = %v", err)
	}
}

func TestNoConnectionWithoutItsAuditEvent(t *testing.T) {
	b := newBroker(t)
	r := &refusing{relayTo: relayTo{target: "127.0.0.1:1"}}
	b.audit.fail.Store(true)
	b.mustApply(t, service("svc", r))
	c := dial(t, "tcp", b.address(t, "svc"))
	c.say("a")
	c.expect("no: internal")
	c.expectEnd()
	if e := b.audit.of(t, audit.Refused, 1)[0]; e.Reason != "audit" {
		t.Errorf("audit: %+v", e)
	}
}

func TestLimiter(t *testing.T) {
	l := limiter{burst: 2}
	now := time.Unix(1000, 0)
	for i, want := range []bool{true, true, false, false} {
		if _, ok := l.allow(now); ok != want {
			t.Errorf("line %d: %v", i, ok)
		}
	}
	if held, ok := l.allow(now.Add(logWindow)); !ok || held != 2 {
		t.Errorf("in the next window: %d held back, %v", held, ok)
	}
}
