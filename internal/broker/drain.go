package broker

import (
	"errors"
	"time"

	"secretless/internal/connector"
)

// stopGrace is how long stopped connections have for their last words before
// their sockets are closed under them.
const stopGrace = 2 * time.Second

// Causes with which the broker ends a connection's context, see context.Cause.
// They are Failures, so that a connector that reports one has its kind right.
var (
	ErrHandshakeTimeout error = &connector.Failure{
		Kind: connector.KindTimeout,
		Err:  errors.New("the handshake did not finish within limits.handshakeTimeout"),
	}
	ErrDraining error = &connector.Failure{
		Kind: connector.KindStopping,
		Err:  errors.New("the service was stopped or replaced and its drain time has passed: connect again"),
	}
	ErrCutShort error = &connector.Failure{
		Kind: connector.KindStopping,
		Err:  errors.New("the broker stops at once, without waiting for the drain time: connect again"),
	}
	ErrClientGone error = &connector.Failure{
		Kind: connector.KindClientGone,
		Err:  errors.New("the client went away during the handshake"),
	}
	errHandshakeOver = errors.New("the handshake is over")
)

// drain lets go of g, to which nothing can be added any more: its endpoints
// have been swapped or retired before. Its drain time begins when begin is
// closed.
func (b *Broker) drain(g *generation, begin <-chan struct{}) {
	b.mu.Lock()
	b.draining[g] = struct{}{}
	b.mu.Unlock()
	g.mu.Lock()
	g.draining = true
	if len(g.conns) == 0 {
		close(g.empty)
	}
	g.mu.Unlock()
	if d, ok := g.svc.Connector.(connector.Drainer); ok {
		g.contain(d.Drain)
	}
	b.tasks.Go(func() {
		g.runDown(begin, b.cut)
		g.close()
		b.mu.Lock()
		delete(b.draining, g)
		b.mu.Unlock()
	})
}

// runDown returns when the last connection has ended: by itself, or because
// the drain time passed since begin was closed, or cut was.
func (g *generation) runDown(begin, cut <-chan struct{}) {
	defer g.work.Wait()
	select {
	case <-g.empty:
		return
	case <-begin:
	case <-cut:
	}
	drain := time.NewTimer(g.svc.Drain)
	defer drain.Stop()
	select {
	case <-g.empty:
	case <-drain.C:
		g.stop(ErrDraining)
	case <-cut:
		g.stop(ErrCutShort)
	}
}

func (g *generation) stop(cause error) {
	n := g.active()
	if n > 0 {
		g.log.Info("stopping connections", "connections", n, "reason", cause)
	}
	g.each(func(c *conn) { c.stop(cause) })
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-g.empty:
		return
	case <-grace.C:
	}
	g.each((*conn).abandon)
	<-g.empty
}
