package ssh

import (
	"net"
	"sync/atomic"
	"time"
)

// clientConn is the client's connection as the library sees it: to close it
// ends all reading and writing, and leaves the socket open for the broker,
// which sees to it that the last message arrives.
type clientConn struct {
	net.Conn
	heard  atomic.Bool // the client has said something
	closed atomic.Bool
}

// Read ends at once after Close.
func (c *clientConn) Read(b []byte) (int, error) {
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(b)
	if n > 0 && !c.heard.Load() {
		c.heard.Store(true)
	}
	return n, err
}

// Write fails at once after Close.
func (c *clientConn) Write(b []byte) (int, error) {
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

// Close wakes whoever reads or writes.
func (c *clientConn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	return c.SetDeadline(time.Unix(1, 0))
}
