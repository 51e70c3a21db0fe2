package http1

import (
	"io"
	"net/http"
	"sync"

	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/wire/http1wire"
)

// body is that of a client's request.
type body struct {
	c *conn
	r *message.Request

	mu     sync.Mutex // guards what follows; held while it is read
	left   int64      // negative for chunks
	chunks http1wire.Chunks
	begun  bool  // somebody has asked for it
	owed   bool  // the client waits for 100 Continue
	err    error // io.EOF at the end
}

func newBody(c *conn, r *message.Request, owed bool) *body {
	b := &body{c: c, r: r, left: c.head.Length, owed: owed}
	if b.left < 0 {
		b.chunks.Reset(c.in)
	}
	return b
}

// Read reads what the client sends.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	if b.owed && b.c.in.Len() == 0 {
		b.c.answer.sayContinue()
	}
	b.begun, b.owed = true, false
	n, err := b.read(p)
	if err == io.EOF {
		b.trailers()
		b.c.mu.Lock()
		b.c.silent = true
		b.c.mu.Unlock()
	}
	b.err = err
	return n, err
}

func (b *body) read(p []byte) (int, error) {
	if b.left < 0 {
		n, err := b.chunks.Read(p)
		if err == nil && b.chunks.Ended() {
			err = io.EOF
		}
		return n, err
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.c.in.Read(p)
	switch b.left -= int64(n); {
	case b.left == 0:
		return n, io.EOF
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// trailers tells those that have come, where some were announced.
func (b *body) trailers() {
	if len(b.r.Announced) > 0 {
		b.r.Trailer = b.chunks.Trailer()
	}
}

// Close does nothing: the connection ends the body.
func (b *body) Close() error { return nil }

// ended says whether the body has been read to its end, and nobody reads on.
func (b *body) ended() bool {
	if b == nil {
		return true
	}
	if !b.mu.TryLock() {
		return false
	}
	defer b.mu.Unlock()
	return b.err == io.EOF
}

// isUnread says whether the connection cannot get to a next request, because
// nobody has asked for the body.
func (b *body) isUnread() bool {
	if b == nil || !b.mu.TryLock() {
		return false
	}
	defer b.mu.Unlock()
	return !b.begun && !b.isThere()
}

// isThere says whether the client has sent all that is left.
func (b *body) isThere() bool { return !b.owed && b.left > 0 && b.left <= int64(b.c.in.Len()) }

// end makes sure that nobody reads any more, and says whether the connection is
// where the next request begins.
func (b *body) end() bool {
	if b == nil {
		return true
	}
	if !b.mu.TryLock() {
		_ = b.c.nc.SetReadDeadline(past()) // wakes the reader
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	whole := b.err == io.EOF
	if b.err == nil && b.isThere() {
		b.c.in.Skip(int(b.left)) // all there, and nobody wanted it
		whole = true
	}
	b.err = http.ErrBodyReadAfterClose
	if whole {
		_ = b.c.nc.SetReadDeadline(noDeadline())
	}
	return whole
}
