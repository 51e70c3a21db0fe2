package broker

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"secretless/internal/audit"
	"secretless/internal/connector"
	"secretless/internal/peer"
	"secretless/internal/relay"
	"secretless/internal/stage"
)

// conn is one accepted connection, from accept to its end. While it is
// relayed this is all that the broker keeps of it.
type conn struct {
	gen      *generation
	endpoint *endpoint
	since    time.Time
	span     stage.Span    // nil where it is not traced
	limited  bool          // counts against the service's limit; guarded by gen.mu
	left     chan struct{} // nil, or closed when it has ended; guarded by gen.mu

	// Guards what follows. The three are written once, by the goroutine that
	// attends to the connection, which reads them without it.
	mu    sync.Mutex
	id    uint64
	from  netip.AddrPort // the client's end; invalid for a unix socket
	name  string         // the client's end of a unix socket
	local string         // the client's other end, where the listener has many
	peer  peer.Identity

	client    net.Conn // nil once the relay owns it
	handshake *handshake
	cancel    context.CancelCauseFunc
	handle    relay.Handle
	served    moved // before the relay
	stopped   error

	// Set when the relay owns it, for its end.
	broker *Broker
	closer io.Closer // of the connector's
}

// came notes where the client is. It keeps no text, which would be one more
// allocation that lives as long as the connection.
func (c *conn) came(from net.Addr) {
	if a, ok := from.(*net.TCPAddr); ok {
		at := a.AddrPort()
		c.from = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
		return
	}
	if c.name = from.String(); c.name == unnamed {
		c.name = ""
	}
}

// unnamed is the address of the client's end of most unix sockets.
const unnamed = "@"

// remote is the client's end as text; empty where it has no name.
func (c *conn) remote() string {
	if c.from.IsValid() {
		return c.from.String()
	}
	return c.name
}

// moved counts bytes as a relay does.
type moved struct{ toTarget, toClient int64 }

// accepted counts nc and attends to it in a goroutine that lives as long as
// the handshake. It is called by the accept loop and never blocks it.
func (b *Broker) accepted(e *endpoint, nc net.Conn) {
	c, v := e.take(nc)
	if v == gone {
		_ = nc.Close()
		return
	}
	c.mu.Lock()
	c.id = b.lastID.Add(1)
	c.came(nc.RemoteAddr())
	if b.identify && e.wildcard {
		c.local = nc.LocalAddr().String()
	}
	c.mu.Unlock()
	slot := b.slot(c, v)
	if slot == nil {
		defer c.gen.work.Done()
		_ = nc.Close()
		why := errBusy
		if v == refuse {
			why = errLimit
		}
		b.finish(c, outcome{audit.Refused, connector.KindLimit.String(), why}, relay.Result{})
		return
	}
	go func() {
		defer c.gen.work.Done()
		defer slot()
		b.attend(c, v, slot)
	}()
}

// slot bounds the goroutines that clients can cause. It returns what gives
// the slot back, once or more often, or nil when c must be closed at once.
func (b *Broker) slot(c *conn, v verdict) func() {
	if v == refuse {
		if _, ok := c.gen.svc.Connector.(connector.Refuser); !ok {
			return nil
		}
		select {
		case b.refusals <- struct{}{}:
			return sync.OnceFunc(func() { <-b.refusals })
		default:
			return nil
		}
	}
	if b.handshakes.Add(1) > b.maxHandshakes {
		b.handshakes.Add(-1)
		return nil
	}
	c.gen.counters.handshakes.Add(1)
	return sync.OnceFunc(func() {
		b.handshakes.Add(-1)
		c.gen.counters.handshakes.Add(-1)
	})
}

// attend does everything from authorisation to the hand-off.
func (b *Broker) attend(c *conn, v verdict, slot func()) {
	h := newHandshake(c, v, slot, b.tracer)
	s := h.session(b)
	out := b.converse(h, s, v)
	cause := h.end()
	pair := s.Handoff()
	s.Client = unmetered(s.Client)
	if out.err == nil && cause == nil && pair != nil {
		b.start(h, s.Client, pair)
		return
	}
	if pair != nil {
		_ = pair.Target.Close()
		c.gen.closeOf(pair.Closer)
		if out.err == nil {
			out.err = cause
		}
	}
	if out.reason == reasonPeer {
		_ = c.client.Close()
	} else {
		hangUp(c.client, s.Client)
	}
	b.finish(c, out.settle(cause, h.wasEstablished()), h.passed())
}

// converse authorises c and lets its connector speak.
func (b *Broker) converse(h *handshake, s *connector.Session, v verdict) outcome {
	c := h.conn
	if err := b.authorise(c); err != nil {
		return outcome{audit.Refused, reasonPeer, err}
	}
	s.Peer = c.peer
	if v == refuse {
		b.decline(h, s, connector.KindLimit, errLimit)
		return outcome{audit.Refused, connector.KindLimit.String(), errLimit}
	}
	if err := b.audit.Require(h.ctx, c.event(audit.Opened)); err != nil {
		b.decline(h, s, connector.KindInternal, errUnrecorded)
		return outcome{audit.Refused, reasonAudit, err}
	}
	h.watch(b.watcher)
	err := c.contain(func() error { return c.gen.svc.Connector.ServeConn(h.ctx, s) })
	if pair := s.Handoff(); err == nil && pair != nil && !h.reached && b.audited {
		err = b.reached(h.ctx, h, connector.Target{Address: pair.Target.RemoteAddr().String()})
	}
	return outcome{typ: audit.Closed, err: err}
}

// start hands the pair to the relay; the connection's goroutine ends with it.
func (b *Broker) start(h *handshake, client net.Conn, pair *connector.Handoff) {
	c := h.conn
	// A deadline left over from the handshake would end an idle pair later.
	_ = pair.Target.SetDeadline(time.Time{})
	passed := h.passed()
	c.mu.Lock()
	c.client, c.served = nil, moved{passed.ToTarget, passed.ToClient}
	c.mu.Unlock()
	c.broker, c.closer = b, pair.Closer
	if !h.wasEstablished() {
		c.establish()
	}
	handle := b.relay.Start(relay.Pair{
		Client: client, Target: pair.Target,
		FromClient: pair.FromClient, FromTarget: pair.FromTarget,
		IdleTimeout: c.gen.svc.Limits.IdleTimeout,
		Owner:       c,
	})
	c.mu.Lock()
	c.handle, c.handshake = handle, nil
	stopped := c.stopped
	c.mu.Unlock()
	if stopped != nil {
		handle.Stop(stopped)
	}
}

// Done implements relay.Owner.
func (c *conn) Done(r relay.Result) {
	c.gen.closeOf(c.closer)
	r.ToTarget, r.ToClient = r.ToTarget+c.served.toTarget, r.ToClient+c.served.toClient
	c.broker.finish(c, outcome{typ: audit.Closed, err: r.Err}.relayed(), r)
}

func (c *conn) establish() {
	c.gen.counters.established.Add(1)
	c.gen.counters.measures.handshakes.Observe(time.Since(c.since))
}

// vacate lets go of all that c had: others that were made together with it may
// live for long.
func (c *conn) vacate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.client, c.handshake, c.cancel, c.handle = nil, nil, nil, nil
	c.broker, c.closer = nil, nil
}

// stop ends c, whatever it is doing, with cause.
func (c *conn) stop(cause error) {
	c.mu.Lock()
	c.stopped = cause
	cancel, handle := c.cancel, c.handle
	c.mu.Unlock()
	if cancel != nil {
		cancel(cause)
	}
	if handle != nil {
		handle.Stop(cause)
	}
}

// abandon closes the client under a connector that does not heed its context.
func (c *conn) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		_ = c.client.Close()
	}
}
