package http1

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/wire/http1wire"
)

// conn is one client's connection.
type conn struct {
	server *Server
	nc     net.Conn
	ctx    context.Context // of all its requests
	cancel context.CancelFunc
	in     *http1wire.Input
	head   http1wire.Request
	r      *message.Request
	plain  message.Request // r of requests without a body, used again and again
	body   *body
	answer answer

	waits    func([]byte) error // waiting, as one value
	first    bool               // no head was read yet
	bounded  bool               // a read deadline is set
	hijacked bool

	turn     atomic.Uint64 // odd while a request is being answered
	lastTurn uint64        // as the minder saw it; of the server's mutex

	mu       sync.Mutex // guards what follows
	ended    *sync.Cond // of a watch
	idle     bool       // waits for a request of which nothing has come
	drained  bool
	silent   bool // the request has been read to its end
	watching bool
	halted   bool   // the watch is told to end
	early    []byte // what the watch has read
}

func newConn(ctx context.Context, cancel context.CancelFunc, s *Server, nc net.Conn) *conn {
	c := &conn{server: s, nc: nc, ctx: ctx, cancel: cancel, in: http1wire.NewInput(nc, nil), first: true}
	c.ended = sync.NewCond(&c.mu)
	c.waits = c.waiting
	c.answer.c = c
	return c
}

// past is a deadline that has passed.
func past() time.Time { return time.Unix(1, 0) }

func (c *conn) serve() {
	if c.server.HeadTimeout > 0 {
		c.bound()
	}
	for {
		n, err := http1wire.Head(c.in, c.server.Limits, c.waits)
		if err != nil {
			c.refuse(err)
			return
		}
		c.first = false
		c.unbound()
		if !c.serveOne(n) {
			return
		}
	}
}

func (c *conn) bound() {
	c.bounded = true
	_ = c.nc.SetReadDeadline(time.Now().Add(c.server.HeadTimeout))
}

func (c *conn) unbound() {
	if c.bounded {
		c.bounded = false
		_ = c.nc.SetReadDeadline(time.Time{})
	}
	c.setIdle(false)
}

// waiting is called before each read of a head. The time for one begins with
// its first byte, which most often is also its last.
func (c *conn) waiting(come []byte) error {
	if !c.first && len(come) == 0 {
		c.setIdle(true)
		return nil
	}
	c.setIdle(false)
	if !c.bounded && c.server.HeadTimeout > 0 {
		c.bound()
	}
	return nil
}

// setIdle says whether a drain may end the connection right now.
func (c *conn) setIdle(idle bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.drained:
	case idle:
		_ = c.nc.SetReadDeadline(past())
	case c.idle: // the drain came together with a request, which is not to suffer
		_ = c.nc.SetReadDeadline(noDeadline())
	}
	c.idle = idle
}

func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drained = true
	if c.idle {
		_ = c.nc.SetReadDeadline(past())
	}
}

// serveOne answers the request whose head is the next n bytes, and says whether
// there may be another one.
func (c *conn) serveOne(n int) bool {
	err := c.head.Parse(c.in.Bytes()[:n], c.server.Limits)
	c.in.Skip(n)
	if err == nil {
		err = c.request()
	}
	if err != nil {
		c.refuse(err)
		return false
	}
	c.answer.begin()
	c.mu.Lock()
	c.silent = c.body == nil
	c.mu.Unlock()
	c.turn.Add(1)
	c.server.mind()
	c.server.Handler(c.ctx, &c.answer, c.r)
	c.turn.Add(1)
	c.unwatch()
	if c.hijacked {
		return false
	}
	whole := c.body.end()
	if !c.answer.end() || !whole {
		if !whole {
			c.linger()
		}
		return false
	}
	c.in.Shrink()
	return true
}

// lingerTime is how long a client that is still sending has to see its answer.
const lingerTime = 500 * time.Millisecond

// linger leaves what the client sends where it is: closing the connection now
// would make its system throw the answer away, and reading on is what the answer
// says will not happen.
func (c *conn) linger() {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	wait := time.NewTimer(lingerTime)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-c.ctx.Done():
	}
}

// request makes the request of the head.
func (c *conn) request() error {
	h := &c.head
	u, err := parseTarget(h.Method, h.Target)
	if err != nil {
		return http1wire.NewMalformed(http.StatusBadRequest, "its URL cannot be understood")
	}
	c.r = &c.plain
	if h.Length != 0 {
		// Whoever sends the body on may look for its end when the request is over.
		c.r = &message.Request{}
	}
	*c.r = message.Request{
		Method: h.Method, URL: *u, Target: h.Target, Host: u.Host, Major: 1, Minor: h.Minor,
		Fields: h.Fields, Length: h.Length, Announced: h.Announced, Close: h.Close,
	}
	if c.r.Host == "" {
		c.r.Host = h.Host
	}
	c.body = nil
	expects, err := expectation(h.Fields)
	if err != nil {
		return err
	}
	if h.Length != 0 {
		c.body = newBody(c, c.r, expects && h.Minor == 1)
		c.r.Body = c.body
	}
	return nil
}

// expectation says whether the client waits to be told to send the body.
func expectation(fields http1wire.Fields) (bool, error) {
	expects := false
	for value := range fields.All("Expect") {
		if expects || !strings.EqualFold(value, "100-continue") {
			return false, http1wire.NewMalformed(http.StatusExpectationFailed, "it expects something other than 100-continue")
		}
		expects = true
	}
	return expects, nil
}

func parseTarget(method, target string) (*url.URL, error) {
	if method != http.MethodConnect || strings.HasPrefix(target, "/") {
		return url.ParseRequestURI(target)
	}
	u, err := url.ParseRequestURI("http://" + target)
	if err == nil {
		u.Scheme = ""
	}
	return u, err
}

// refuse answers a request that cannot be read; what a client has sent behind
// it is not looked at.
func (c *conn) refuse(err error) {
	status := 0
	m, ok := errors.AsType[*http1wire.MalformedError](err)
	switch {
	case ok:
		status = m.Status
	case errors.Is(err, http1wire.ErrTooLarge), errors.Is(err, http1wire.ErrFull):
		status = http.StatusRequestHeaderFieldsTooLarge
	default:
		return // the client is gone or too slow
	}
	if c.server.Refused != nil {
		c.server.Refused(c.ctx, status, err)
	}
	c.answer.refuse(status, err)
}
