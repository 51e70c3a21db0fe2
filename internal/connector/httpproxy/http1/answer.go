package http1

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"secretless/internal/wire/http1wire"
)

// answer is the Writer of a connection. What is written waits in out until
// there is enough of it, Flush is called, or the answer is whole.
type answer struct {
	c   *conn
	out []byte

	wrote    bool
	bodyless bool
	chunked  bool
	closes   bool
	length   int64 // -1 where it is not known
	written  int64
	trailer  http1wire.Fields
	err      error // of writing

	mu       sync.Mutex // between heads and 100 Continue
	begun    bool       // guarded by mu: the last head, or 100 Continue, is out
	deadline bool       // a write deadline was set
}

const (
	outKept  = 16 << 10 // between two answers
	outLarge = 48 << 10 // before it is sent
)

func noDeadline() time.Time { return time.Time{} }

func (a *answer) begin() {
	a.wrote, a.bodyless, a.chunked, a.closes, a.length, a.written = false, false, false, false, -1, 0
	a.trailer, a.err, a.begun = nil, nil, false
	a.out = a.out[:0]
}

// WriteHead writes a head: any number with 1xx, then one other.
func (a *answer) WriteHead(code int, fields http1wire.Fields) {
	if a.wrote {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if code < 200 && code != http.StatusSwitchingProtocols {
		a.inform(code, fields)
		return
	}
	a.wrote, a.begun = true, true
	start := len(a.out)
	a.out = appendStatus(a.out, a.c.head.Minor, code)
	if a.err = a.appendHead(fields); a.err != nil {
		a.out = a.out[:start]
		return
	}
	a.decide(code)
	switch {
	case a.chunked:
		a.out = append(a.out, "Transfer-Encoding: chunked\r\n"...)
	case a.length >= 0:
		a.out = http1wire.AppendLength(a.out, a.length)
	}
	switch {
	case a.closes:
		a.out = append(a.out, "Connection: close\r\n"...)
	case a.c.head.Minor == 0:
		a.out = append(a.out, "Connection: keep-alive\r\n"...)
	}
	a.out = append(a.out, "\r\n"...)
}

// appendHead writes the fields, and takes from them what the head says by
// itself.
func (a *answer) appendHead(fields http1wire.Fields) error {
	for i := range fields {
		switch f := &fields[i]; {
		case f.Name == "Connection":
			a.closes = a.closes || strings.EqualFold(f.Value, "close")
		case f.Name == "Content-Length":
			if n, err := strconv.ParseInt(f.Value, 10, 64); err == nil && n >= 0 {
				a.length = n
			}
		case f.Name == "Transfer-Encoding":
		case !f.Writable():
			return http1wire.ErrUnwritable
		default:
			a.out = http1wire.AppendField(a.out, f.Name, f.Value)
		}
	}
	return nil
}

// decide settles how the body ends.
func (a *answer) decide(code int) {
	a.closes = a.closes || a.c.head.Close || a.c.server.draining.Load() || a.c.body.isUnread()
	a.bodyless = code == http.StatusNoContent || code == http.StatusNotModified || a.c.head.Method == http.MethodHead
	switch {
	case code == http.StatusNoContent, code == http.StatusNotModified:
		a.length = -1
	case a.length >= 0, a.bodyless:
	case a.c.head.Minor == 1:
		a.chunked = true
	default:
		a.closes = true // HTTP/1.0 has no other way to end it
	}
}

// isOurs names what a head says by itself.
func isOurs(name string) bool {
	switch name {
	case "Connection", "Transfer-Encoding", "Content-Length":
		return true
	}
	return false
}

func appendStatus(b []byte, minor, code int) []byte {
	b = append(b, "HTTP/1."...)
	b = append(b, '0'+byte(minor), ' ')
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, ' ')
	return append(append(b, http.StatusText(code)...), "\r\n"...)
}

// inform passes an interim answer on at once.
func (a *answer) inform(code int, fields http1wire.Fields) {
	if code == http.StatusContinue {
		if a.begun || a.c.body == nil {
			return
		}
		a.begun = true
	}
	a.out = appendStatus(a.out, 1, code)
	out, err := http1wire.AppendFields(a.out, fields, isOurs)
	if err != nil {
		a.out = a.out[:0]
		return
	}
	a.out = append(out, "\r\n"...)
	a.send()
}

// sayContinue lets a client that waits send its body.
func (a *answer) sayContinue() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun {
		return
	}
	a.begun = true
	_, _ = io.WriteString(a.c.nc, "HTTP/1.1 100 Continue\r\n\r\n")
}

// Write adds to the body.
func (a *answer) Write(p []byte) (int, error) {
	if !a.wrote {
		a.WriteHead(http.StatusOK, nil)
	}
	switch {
	case a.err != nil:
		return 0, a.err
	case a.bodyless:
		return len(p), nil
	case a.length >= 0 && a.written+int64(len(p)) > a.length:
		return 0, http.ErrContentLength
	}
	a.written += int64(len(p))
	if a.chunked {
		a.out = http1wire.AppendChunk(a.out, p)
	} else if len(a.out)+len(p) <= outLarge {
		a.out = append(a.out, p...)
	} else {
		a.send()
		if a.err == nil {
			_, a.err = a.c.nc.Write(p)
		}
	}
	if len(a.out) >= outLarge {
		a.send()
	}
	return len(p), a.err
}

func (a *answer) send() {
	if a.err == nil && len(a.out) > 0 {
		_, a.err = a.c.nc.Write(a.out)
	}
	a.out = a.out[:0]
}

// Flush sends what is there.
func (a *answer) Flush() error {
	if !a.wrote {
		a.WriteHead(http.StatusOK, nil)
	}
	a.send()
	return a.err
}

// end completes the answer, and says whether the connection can go on.
func (a *answer) end() bool {
	if !a.wrote {
		a.length = 0
		a.WriteHead(http.StatusOK, nil)
	}
	if a.deadline {
		a.send() // fails, unless it is another deadline
		return false
	}
	if a.chunked && !a.bodyless {
		a.appendTrailers()
	}
	a.send()
	if cap(a.out) > outKept {
		a.out = nil // an idle connection should not hold much
	}
	short := a.length > a.written && !a.bodyless
	return a.err == nil && !short && !a.closes
}

// Trailer is what stands behind the last chunk.
func (a *answer) Trailer(fields http1wire.Fields) { a.trailer = fields }

func (a *answer) appendTrailers() {
	a.out = append(a.out, "0\r\n"...)
	if out, err := http1wire.AppendFields(a.out, a.trailer, isOurs); err == nil {
		a.out = out
	}
	a.out = append(a.out, "\r\n"...)
}

// refuse answers a request that has no meaning.
func (a *answer) refuse(status int, err error) {
	a.c.head.Minor = 1
	text := "secretless: the request is not passed on: " + refusalText(status, err) + "\n"
	a.out = appendStatus(a.out[:0], 1, status)
	for _, field := range [][2]string{
		{"Content-Type", "text/plain; charset=utf-8"},
		{"X-Content-Type-Options", "nosniff"},
		{"Proxy-Status", "secretless; error=http_request_error"},
		{"Date", time.Now().UTC().Format(http.TimeFormat)},
		{"Connection", "close"},
		{"Content-Length", strconv.Itoa(len(text))},
	} {
		a.out = http1wire.AppendField(a.out, field[0], field[1])
	}
	a.out = append(append(a.out, "\r\n"...), text...)
	a.err = nil
	a.send()
}

func refusalText(status int, err error) string {
	if status == http.StatusRequestHeaderFieldsTooLarge {
		return "its head is too large"
	}
	return err.Error()
}

// SetReadDeadline bounds reading the request's body.
func (a *answer) SetReadDeadline(t time.Time) error { return a.c.nc.SetReadDeadline(t) }

// SetWriteDeadline bounds writing the answer. One that has it is not followed
// by another.
func (a *answer) SetWriteDeadline(t time.Time) error {
	a.deadline = true
	return a.c.nc.SetWriteDeadline(t)
}

var (
	errAnswered = errors.New("the answer has begun")
	errBody     = errors.New("the request's body was not read to its end")
)

// Hijack takes the connection over. Within a request's body it does not: which
// bytes belong to what follows would depend on who reads first.
func (a *answer) Hijack() (net.Conn, []byte, error) {
	switch {
	case a.wrote:
		return nil, nil, errAnswered
	case !a.c.body.ended():
		return nil, nil, errBody
	}
	a.c.unwatch()
	a.c.hijacked = true
	early := append([]byte(nil), a.c.in.Bytes()...)
	a.c.in.Skip(len(early))
	return a.c.nc, early, nil
}
