package broker

import (
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"secretless/internal/connector"
	"secretless/internal/relay"
	"secretless/internal/slab"
)

// generation is one applied Service with its connections. A changed service
// is a new generation under the same name, while the old one drains.
type generation struct {
	svc      *Service
	log      *slog.Logger
	counters *counters // shared by all generations of the name
	work     sync.WaitGroup
	shown    atomic.Pointer[shown] // the certificate that a target showed last

	mu       sync.Mutex
	conns    map[*conn]struct{}
	made     slab.Slab[conn]
	limited  int           // of conns, those that count against Limits.Connections
	draining bool          // no connection will be added
	empty    chan struct{} // closed when draining and the last one ended
}

func newGeneration(svc *Service, log *slog.Logger, c *counters) *generation {
	return &generation{
		svc: svc, log: log.With("service", svc.Name, "connector", svc.Kind), counters: c,
		conns: map[*conn]struct{}{}, empty: make(chan struct{}),
	}
}

// verdict is what is to become of an accepted connection.
type verdict int

const (
	serve  verdict = iota
	refuse         // it is over the service's limit
	gone           // no service is there any more
)

// admit counts nc. Called with the endpoint locked.
func (g *generation) admit(e *endpoint, nc net.Conn) (*conn, verdict) {
	g.counters.accepted.Add(1)
	c := g.made.New()
	c.gen, c.endpoint, c.client, c.since = g, e, nc, time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	v := serve
	if n := g.svc.Limits.Connections; n > 0 && g.limited >= n {
		v = refuse
	} else {
		c.limited = true
		g.limited++
	}
	g.conns[c] = struct{}{}
	g.counters.active.Add(1)
	g.work.Add(1)
	return c, v
}

// leave forgets c, whose sockets are closed, and counts how it ended: in one
// step, so that Live sees its bytes once.
func (g *generation) leave(c *conn, o outcome, r relay.Result) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counters.count(o, r)
	delete(g.conns, c)
	if c.left != nil {
		close(c.left)
	}
	g.counters.active.Add(-1)
	if c.limited {
		g.limited--
	}
	if g.draining && len(g.conns) == 0 {
		close(g.empty)
	}
}

func (g *generation) active() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns)
}

// each calls f for every connection there is, without holding the lock.
func (g *generation) each(f func(*conn)) {
	g.mu.Lock()
	all := make([]*conn, 0, len(g.conns))
	for c := range g.conns {
		all = append(all, c)
	}
	g.mu.Unlock()
	for _, c := range all {
		f(c)
	}
}

// close releases what the service holds; its last connection has ended or it
// never had one.
func (g *generation) close() { closeService(g.svc, g.log) }

func closeService(svc *Service, log *slog.Logger) {
	contain(log, svc.Close)
	if c, ok := svc.Connector.(connector.Closer); ok {
		contain(log, c.Close)
	}
}

// closeOf closes what a connector holds for a connection, if it holds anything.
// Nobody could be told of an error.
func (g *generation) closeOf(c io.Closer) {
	if c != nil {
		g.contain(func() { _ = c.Close() })
	}
}

func (g *generation) contain(f func()) { contain(g.log, f) }
