package http1

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/sockio"
	"secretless/internal/wire/http1wire"
)

// targetConn is one connection to a target, of one request at a time.
type targetConn struct {
	nc    net.Conn
	rw    io.ReadWriter   // reads and writes nc
	raw   syscall.RawConn // nil where there is none
	in    *http1wire.Input
	out   []byte
	used  bool      // it has answered a request
	since time.Time // when it became idle

	probe     func(fd uintptr) bool
	probed    bool
	interrupt func()

	mu      sync.Mutex
	until   time.Time // the read deadline; zero is none
	taken   time.Time // the write deadline, likewise
	stopped bool      // by interrupt: deadlines stay in the past
}

func newTargetConn(nc net.Conn) *targetConn {
	rw := sockio.Of(nc)
	c := &targetConn{nc: nc, rw: rw, in: http1wire.NewInput(rw, nil)}
	if s, ok := nc.(syscall.Conn); ok {
		c.raw, _ = s.SyscallConn()
	}
	c.probe = func(fd uintptr) bool {
		c.probed = sockio.QuietFD(fd)
		return true
	}
	c.interrupt = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stopped = true
		_ = c.nc.SetDeadline(past())
	}
	return c
}

// quiet says whether the connection is open and nothing has come on it: what
// comes while nothing was asked is no answer to what will be asked.
func (c *targetConn) quiet() bool {
	if c.raw == nil {
		return false
	}
	c.probed = false
	err := c.raw.Read(c.probe)
	if errors.Is(err, os.ErrDeadlineExceeded) { // that of the last answer
		c.disarm()
		err = c.raw.Read(c.probe)
	}
	return err == nil && c.probed
}

func (c *targetConn) close() { _ = c.nc.Close() }

// arm bounds reads to limit from now. It sets a deadline only where the last
// one is too early, with something on top, because setting it costs as much as
// parsing a head.
func (c *targetConn) arm(limit time.Duration, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	if limit <= 0 {
		c.set(time.Time{})
	} else if c.until.Sub(now) < limit {
		c.set(now.Add(limit + limit/8))
	}
}

// armWrite bounds the next write as arm does reads: for a target that takes
// nothing more, which no answer tells of.
func (c *targetConn) armWrite(limit time.Duration, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var until time.Time
	if limit > 0 {
		until = now.Add(limit + limit/8)
	}
	if c.stopped || limit > 0 && c.taken.Sub(now) >= limit || until.Equal(c.taken) {
		return
	}
	c.taken = until
	_ = c.nc.SetWriteDeadline(until)
}

// exactly bounds reads to limit from now.
func (c *targetConn) exactly(limit time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		c.set(time.Now().Add(limit))
	}
}

// disarm lets reads take as long as they do.
func (c *targetConn) disarm() { c.arm(0, time.Time{}) }

func (c *targetConn) set(until time.Time) {
	if until.Equal(c.until) {
		return
	}
	c.until = until
	_ = c.nc.SetReadDeadline(until)
}

// appendHead writes the head of out.
func (c *targetConn) appendHead(to origin.Origin, out *message.Request) error {
	path := out.URL.RequestURI()
	c.out = slices.Grow(c.out[:0], headSize(path, to, out))
	b := append(append(c.out, out.Method...), ' ')
	if !http1wire.IsToken(out.Method) || !http1wire.IsValue(path) || strings.ContainsAny(path, " \t") {
		return http1wire.ErrUnwritable
	}
	b = append(append(b, path...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, to.Authority()...), "\r\n"...)
	switch {
	case out.HasBody() && out.Length >= 0:
		b = http1wire.AppendLength(b, out.Length)
	case out.HasBody():
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case takesBody(out.Method):
		b = http1wire.AppendLength(b, 0)
	}
	if len(out.Announced) > 0 {
		b = http1wire.AppendField(b, "Trailer", strings.Join(out.Announced, ", "))
	}
	b, err := http1wire.AppendFields(b, out.Fields, framesRequest)
	c.out = append(b, "\r\n"...)
	return err
}

// headSize is room enough for a head. A buffer that grew while it is written
// would leave its old self behind, with a credential in it that nobody wipes.
func headSize(path string, to origin.Origin, out *message.Request) int {
	const others = 128 // what stands around these
	n := others + len(out.Method) + len(path) + len(to.Authority())
	for i := range out.Fields {
		n += len(out.Fields[i].Name) + len(out.Fields[i].Value) + len(": \r\n")
	}
	for _, name := range out.Announced {
		n += len(name) + len(", ")
	}
	return n
}

// takesBody are methods for which a missing body is worth saying.
func takesBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

// framesRequest names what appendHead writes by itself.
func framesRequest(name string) bool {
	switch name {
	case "Host", "Content-Length", "Transfer-Encoding", "Trailer":
		return true
	}
	return false
}

// send writes what is in out, and wipes it: it may hold a credential.
func (c *targetConn) send() error {
	_, err := c.rw.Write(c.out)
	clear(c.out)
	if c.out = c.out[:0]; cap(c.out) > outLarge {
		c.out = nil
	}
	return err
}
