package broker

import (
	"context"
	"net"
	"sync"
	"time"

	"secretless/internal/connector"
	"secretless/internal/relay"
	"secretless/internal/stage"
)

// lastWords is how long writes to the client still work after a handshake was
// cut off, for the message that says so.
const lastWords = time.Second

// handshake is what a connection needs until it is established: a context
// that ends with a cause, a timeout, deadlines that follow the context, and a
// watch for the client's end. All of it is gone after end.
type handshake struct {
	conn   *conn
	ctx    context.Context
	cancel context.CancelCauseFunc
	slot   func()
	timer  *time.Timer
	meter  *meter
	tracer stage.Tracer

	unfollow func() bool
	reached  bool // the target is in the audit; of the connection's goroutine

	mu          sync.Mutex
	unwatch     func()
	target      string      // that was reached
	idle        *time.Timer // nil without limits.idleTimeout, or not established
	established bool
	over        bool
}

func newHandshake(c *conn, v verdict, slot func(), tracer stage.Tracer) *handshake {
	h := &handshake{conn: c, slot: slot, meter: newMeter(c.client), tracer: tracer}
	ctx, span := tracer.Connection(context.Background(), "connection")
	c.span = span
	h.ctx, h.cancel = context.WithCancelCause(stage.With(ctx, h))
	timeout := c.gen.svc.Limits.HandshakeTimeout
	if v == refuse {
		timeout = refuseTimeout
	}
	h.timer = time.AfterFunc(timeout, func() { h.cancel(ErrHandshakeTimeout) })
	h.unfollow = context.AfterFunc(h.ctx, h.cutOff)
	c.mu.Lock()
	c.handshake, c.cancel = h, h.cancel
	stopped := c.stopped
	c.mu.Unlock()
	if stopped != nil {
		h.cancel(stopped)
	}
	return h
}

func (h *handshake) session(b *Broker) *connector.Session {
	svc := h.conn.gen.svc
	s := &connector.Session{
		ID: h.conn.id, Service: svc.Name, Client: h.meter,
		Log:         h.conn.gen.log.With("connection", h.conn.id),
		Credentials: svc.Credentials, ClientTLS: svc.ClientTLS, ConnectTimeout: svc.Limits.ConnectTimeout,
		HandshakeTimeout: svc.Limits.HandshakeTimeout,
		OnEstablished:    h.establish,
		OnUse:            func(ctx context.Context, what string) error { return b.used(ctx, h.conn, what) },
		OnRequest:        h.request,
		OnUnserved:       h.unserved,
	}
	if b.identify {
		s.OnReached = func(ctx context.Context, t connector.Target) error { return b.reached(ctx, h, t) }
	}
	if b.audited {
		s.OnRotated = func() { b.rotated(h.conn) }
		s.OnExchange = func(ctx context.Context, e connector.Exchange) error { return b.exchange(ctx, h.conn, e) }
	}
	return s
}

// cutOff turns the end of the context into deadlines, so that a read of the
// client fails at once.
func (h *handshake) cutOff() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return
	}
	_ = h.conn.client.SetReadDeadline(time.Unix(1, 0))
	_ = h.conn.client.SetWriteDeadline(time.Now().Add(lastWords))
}

// watch ends the handshake when the client goes away while nobody reads from
// it, because the connector waits for the target or for a provider.
func (h *handshake) watch(w *watcher) {
	unwatch := w.watch(h.conn.client, func() { h.cancel(ErrClientGone) })
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unwatch = unwatch
}

// establish ends the handshake for a connector that goes on serving: from
// here on only a stop and limits.idleTimeout end the context.
func (h *handshake) establish() {
	h.timer.Stop()
	h.mu.Lock()
	first := !h.established && !h.over && h.ctx.Err() == nil
	if first {
		h.established = true
		if limit := h.conn.gen.svc.Limits.IdleTimeout; limit > 0 {
			h.idle = time.AfterFunc(limit, h.checkIdle)
		}
	}
	unwatch := h.unwatch
	h.unwatch = nil
	h.mu.Unlock()
	if unwatch != nil {
		unwatch()
	}
	if first {
		h.conn.establish()
	}
	h.slot()
}

// checkIdle ends a served connection on which nothing has passed for as long as
// limits.idleTimeout says. One look when that could be so costs less than a
// timer that every byte sets anew.
func (h *handshake) checkIdle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return
	}
	if left := h.conn.gen.svc.Limits.IdleTimeout - h.meter.silence(); left > 0 {
		h.idle.Reset(left)
		return
	}
	h.cancel(relay.ErrIdle)
}

// passed is what a connector that served the connection itself has moved.
func (h *handshake) passed() relay.Result {
	if !h.wasEstablished() {
		return relay.Result{}
	}
	return h.meter.result()
}

func (h *handshake) wasEstablished() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.established
}

func (h *handshake) progress() (established bool, target string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.established, h.target
}

// end releases everything, and returns why the context had ended before, nil
// if it had not: then no deadline is left on the client.
func (h *handshake) end() error {
	h.timer.Stop()
	h.conn.mu.Lock()
	h.conn.cancel = nil
	h.conn.mu.Unlock()
	h.mu.Lock()
	unwatch := h.unwatch
	h.unwatch = nil
	h.mu.Unlock()
	if unwatch != nil {
		unwatch()
	}
	h.unfollow()
	cause := context.Cause(h.ctx)
	h.cancel(errHandshakeOver)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	if h.idle != nil {
		h.idle.Stop()
	}
	if cause == nil {
		_ = h.conn.client.SetDeadline(time.Time{})
	}
	return cause
}

// Lingering bounds: how much, and how long, is read from a client that has
// been answered, before its socket is closed.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10
)

// hangUp closes a client so that the last message reaches it. Closing a TCP
// socket with unread bytes sends a reset, and a reset makes the client's
// system throw away what the client had not read yet: the error message. So
// the broker says that it is done, and reads on for a moment.
func hangUp(raw, spoken net.Conn) {
	defer func() { _ = raw.Close() }()
	_ = raw.SetWriteDeadline(time.Now().Add(lastWords))
	half, ok := spoken.(interface{ CloseWrite() error })
	if ok && spoken != raw {
		_ = half.CloseWrite() // TLS: close_notify
	}
	if half, ok = raw.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	_ = raw.SetReadDeadline(time.Now().Add(lingerTime))
	buf := make([]byte, 4096)
	for left := lingerBytes; left > 0; {
		n, err := raw.Read(buf)
		if err != nil {
			return
		}
		left -= n
	}
}
