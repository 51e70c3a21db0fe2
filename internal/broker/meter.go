package broker

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"secretless/internal/relay"
	"secretless/internal/sockio"
)

// meter is the client's connection as its connector sees it: what passes is
// counted, for connectors that serve the connection to its end. The relay has
// figures of its own and gets the connection itself, which it can splice.
type meter struct {
	net.Conn
	stream        io.ReadWriter // of Conn
	read, written atomic.Int64
	// last is when a byte passed, in nanoseconds since began.
	began time.Time
	last  atomic.Int64
}

func newMeter(c net.Conn) *meter { return &meter{Conn: c, stream: sockio.Of(c), began: time.Now()} }

// Read counts what the client sent.
func (m *meter) Read(b []byte) (int, error) {
	n, err := m.stream.Read(b)
	m.passed(&m.read, n)
	return n, err
}

// Write counts what the client was sent.
func (m *meter) Write(b []byte) (int, error) {
	n, err := m.stream.Write(b)
	m.passed(&m.written, n)
	return n, err
}

func (m *meter) passed(count *atomic.Int64, n int) {
	if n > 0 {
		count.Add(int64(n))
		m.last.Store(int64(time.Since(m.began)))
	}
}

// CloseWrite ends what the client is sent, where its connection has halves.
func (m *meter) CloseWrite() error {
	if half, ok := m.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// NetConn is the connection below.
func (m *meter) NetConn() net.Conn { return m.Conn }

// silence is for how long nothing has passed.
func (m *meter) silence() time.Duration {
	return time.Since(m.began) - time.Duration(m.last.Load())
}

// result is what has passed, in the relay's terms.
func (m *meter) result() relay.Result {
	return relay.Result{ToTarget: m.read.Load(), ToClient: m.written.Load()}
}

// unmetered is c without the meter, if c is one. A layer that the connector has
// put on top of it, such as TLS, stays and goes on through it.
func unmetered(c net.Conn) net.Conn {
	if m, ok := c.(*meter); ok {
		return m.Conn
	}
	return c
}
