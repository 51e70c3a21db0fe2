package http1

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/wire/http1wire"
)

// Targets sends requests to targets that are reached without TLS, and keeps the
// connections. Its fields are set before it is used. Safe for concurrent use.
type Targets struct {
	// Dial connects; it bounds that itself.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// ResponseTimeout bounds the wait for the head of an answer once the
	// request has been sent; up to an eighth of it is added. Zero is no bound.
	ResponseTimeout time.Duration
	// ContinueTimeout is how long a target may take for 100 Continue before it
	// gets the body anyway.
	ContinueTimeout time.Duration
	// Limits bound the head of an answer.
	Limits http1wire.Limits
	// Panicked hears of panics of who reads a request's body, which end that
	// request alone; it may be nil.
	Panicked func(value any)
	// IdlePerOrigin, IdleTotal and IdleTime bound the connections that are kept.
	IdlePerOrigin, IdleTotal int
	IdleTime                 time.Duration

	mu      sync.Mutex                      // guards what follows
	idle    map[origin.Origin][]*targetConn // each list by since
	kept    int                             // in all of idle
	closed  bool
	sweeper *time.Timer // set while connections are kept

	uploads sync.WaitGroup
	fields  sync.Pool // *http1wire.Fields, of answers whose bodies are closed
}

// RoundTrip sends out to the origin, whatever its URL and Host say, and returns
// the answer, whose Body must be closed. What is sent is out's method, path and
// query, fields, body and trailer. Everything that it writes of the head is
// wiped from its buffers at once. With out.Close, the connection carries no
// other request. inform is called by the goroutine that waits for the answer,
// and may be nil.
func (t *Targets) RoundTrip(ctx context.Context, to origin.Origin, out *message.Request, inform message.Inform) (*message.Response, error) {
	for {
		c, err := t.get(ctx, to)
		if err != nil {
			return nil, err
		}
		x := &trip{targets: t, ctx: ctx, c: c, to: to, out: out, inform: inform}
		resp, err := x.run()
		if err == nil || !x.again(err) {
			return resp, err
		}
	}
}

// room returns room for the fields of an answer.
func (t *Targets) room() *http1wire.Fields {
	if f, ok := t.fields.Get().(*http1wire.Fields); ok {
		return f
	}
	return &http1wire.Fields{}
}

// get returns a kept connection that still seems to be one, or a new one.
func (t *Targets) get(ctx context.Context, to origin.Origin) (*targetConn, error) {
	for {
		c := t.take(to)
		if c == nil {
			break
		}
		if c.quiet() {
			return c, nil
		}
		c.close()
	}
	nc, err := t.Dial(ctx, "tcp", to.Address())
	if err != nil {
		return nil, err
	}
	return newTargetConn(nc), nil
}

func (t *Targets) take(to origin.Origin) *targetConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.idle[to]
	if len(kept) == 0 {
		return nil
	}
	c := kept[len(kept)-1] // the one that is the least likely to be dead
	kept[len(kept)-1] = nil
	t.idle[to] = kept[:len(kept)-1]
	t.kept--
	return c
}

// put keeps c for the next request.
func (t *Targets) put(to origin.Origin, c *targetConn, now time.Time) {
	c.used, c.since = true, now
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.idle[to]) >= t.IdlePerOrigin {
		c.close()
		return
	}
	if t.idle == nil {
		t.idle = map[origin.Origin][]*targetConn{}
	}
	if t.kept >= t.IdleTotal {
		t.closeOldest()
	}
	t.idle[to] = append(t.idle[to], c)
	t.kept++
	if t.sweeper == nil {
		t.sweeper = time.AfterFunc(t.sweepEvery(), t.sweep)
	}
}

// closeOldest looks at one connection to each target.
func (t *Targets) closeOldest() {
	var oldest origin.Origin
	for to, kept := range t.idle {
		if len(kept) == 0 {
			delete(t.idle, to)
		} else if at := t.idle[oldest]; len(at) == 0 || kept[0].since.Before(at[0].since) {
			oldest = to
		}
	}
	if kept := t.idle[oldest]; len(kept) > 0 {
		kept[0].close()
		t.idle[oldest] = slices.Delete(kept, 0, 1)
		t.kept--
	}
}

func (t *Targets) sweepEvery() time.Duration { return max(t.IdleTime/6, time.Second) }

// sweep closes what was idle for too long, and what the target has closed.
func (t *Targets) sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweeper = nil
	if t.closed {
		return
	}
	old := time.Now().Add(-t.IdleTime)
	for to, kept := range t.idle {
		left := kept[:0]
		for _, c := range kept {
			if c.since.Before(old) || !c.quiet() {
				c.close()
				continue
			}
			left = append(left, c)
		}
		t.kept -= len(kept) - len(left)
		clear(kept[len(left):])
		if t.idle[to] = left; len(left) == 0 {
			delete(t.idle, to)
		}
	}
	if len(t.idle) > 0 {
		t.sweeper = time.AfterFunc(t.sweepEvery(), t.sweep)
	}
}

// Close closes the connections that are idle, from now on every one that
// becomes idle, and waits for bodies that are still being sent: their requests
// have been answered or have failed.
func (t *Targets) Close() {
	t.mu.Lock()
	t.closed = true
	for _, kept := range t.idle {
		for _, c := range kept {
			c.close()
		}
	}
	t.idle, t.kept = nil, 0
	if t.sweeper != nil {
		t.sweeper.Stop()
	}
	t.mu.Unlock()
	t.uploads.Wait()
}
