package broker

import (
	"fmt"
	"log/slog"

	"secretless/internal/connector"
	"secretless/internal/peer"
)

// authorise finds out who is behind c and whether they may connect, before a
// byte is read. It runs in c's own goroutine: a slow look at /proc holds up
// nobody else.
func (b *Broker) authorise(c *conn) error {
	return c.contain(func() (err error) {
		if policy := c.gen.svc.Allow; policy != nil {
			var id peer.Identity
			id, err = b.check(policy, c.client)
			c.identify(id)
			return err
		}
		// Without a policy it is only for records, which say "unknown"
		// where the kernel does: a probe that has gone, most often.
		switch {
		case b.audited:
			id, _ := peer.Identify(c.client)
			c.identify(id)
		case b.identify:
			c.identify(peer.Glance(c.client))
		}
		return nil
	})
}

func (c *conn) identify(id peer.Identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peer = id
}

// decline says no in the connector's protocol where it can. The answer is all
// that is lost when it fails.
func (b *Broker) decline(h *handshake, s *connector.Session, kind connector.Kind, why error) {
	r, ok := h.conn.gen.svc.Connector.(connector.Refuser)
	if !ok {
		return
	}
	h.timer.Reset(refuseTimeout)
	err := h.conn.contain(func() error { return r.Refuse(h.ctx, s, &connector.Failure{Kind: kind, Err: why}) })
	if err != nil {
		s.Log.Debug("the refusal did not reach the client", "error", err)
	}
}

// contain runs f and turns a panic into an error: one connection ends, the
// others do not notice.
func (c *conn) contain(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.gen.counters.panics.Add(1)
			connector.LogPanic(c.gen.log.With("connection", c.id), p)
			err = &connector.Failure{
				Kind: connector.KindInternal,
				Err:  fmt.Errorf("internal error in connector %q: see the broker's log for its stack", c.gen.svc.Kind),
			}
		}
	}()
	return f()
}

// contain runs f, which may be nil and has nobody to report to.
func contain(log *slog.Logger, f func()) {
	defer func() {
		if p := recover(); p != nil {
			connector.LogPanic(log, p)
		}
	}()
	if f != nil {
		f()
	}
}
