package relay

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"secretless/internal/sockio"
)

// copiers runs pairs on two goroutines each.
type copiers struct {
	ledger *ledger
	large  sync.Pool     // of *buffer
	now    atomic.Uint32 // ticks since the clock was started

	mu     sync.Mutex
	closed bool
	live   map[*copier]struct{}
	quit   chan struct{} // nil until the clock runs
	clock  sync.WaitGroup
}

func newCopiers(l *ledger) *copiers {
	cs := &copiers{ledger: l, live: make(map[*copier]struct{})}
	cs.large.New = func() any { return new(buffer) }
	return cs
}

// start takes over a pair that the ledger has opened.
func (cs *copiers) start(p Pair) Handle {
	c := &copier{
		set:   cs,
		conns: [2]net.Conn{p.Client, p.Target},
		io:    [2]io.ReadWriter{sockio.Of(p.Client), sockio.Of(p.Target)},
		ahead: [2][]byte{p.FromClient, p.FromTarget},
		idle:  idleTicks(p.IdleTimeout),
		owner: p.Owner,
	}
	c.left.Store(2)
	c.last.Store(cs.now.Load())
	if !cs.add(c) {
		c.end(ErrStopped, nil)
	}
	go c.run(Client)
	go c.run(Target)
	return c
}

// add reports whether the copiers are still open.
func (cs *copiers) add(c *copier) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.live[c] = struct{}{}
	if c.idle > 0 && cs.quit == nil && !cs.closed {
		quit := make(chan struct{})
		cs.quit = quit
		cs.clock.Go(func() { cs.watch(quit) })
	}
	return !cs.closed
}

func (cs *copiers) remove(c *copier) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.live, c)
}

// watch is the clock of all pairs: one ticker instead of a deadline per
// message, which would cost each a timer's change.
func (cs *copiers) watch(quit <-chan struct{}) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-quit:
			return
		case <-t.C:
		}
		now := cs.now.Add(1)
		for _, c := range cs.snapshot() {
			if idleSince(c.last.Load(), now, c.idle) {
				c.end(ErrIdle, nil)
			}
		}
	}
}

func (cs *copiers) snapshot() []*copier {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	all := make([]*copier, 0, len(cs.live))
	for c := range cs.live {
		all = append(all, c)
	}
	return all
}

// close stops every pair; the ledger knows when they have ended.
func (cs *copiers) close() {
	cs.mu.Lock()
	quit := cs.quit
	cs.quit, cs.closed = nil, true
	cs.mu.Unlock()
	if quit != nil {
		close(quit)
	}
	cs.clock.Wait()
	for _, c := range cs.snapshot() {
		c.end(ErrStopped, nil)
	}
}
