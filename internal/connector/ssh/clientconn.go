package ssh

import (
	"bytes"
	"net"
	"sync"
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
	// told and ahead are what greet has said and heard before the library
	// came; they are used by one goroutine, before there are others.
	told, ahead []byte

	mu sync.Mutex
	// deciding is there while the client waits for the answer to its
	// authentication, and closed with that.
	deciding chan struct{}
}

// decide runs answer while failed reads are held back: with the first of them
// the library stops writing too, and the handshake timeout, which ends reading,
// could not be told.
func (c *clientConn) decide(answer func()) {
	over := make(chan struct{})
	c.setDeciding(over)
	defer func() {
		c.setDeciding(nil)
		close(over)
	}()
	answer()
}

func (c *clientConn) setDeciding(to chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deciding = to
}

func (c *clientConn) awaitDecision() {
	c.mu.Lock()
	deciding := c.deciding
	c.mu.Unlock()
	if deciding != nil {
		<-deciding
	}
}

// Read ends at once after Close.
func (c *clientConn) Read(b []byte) (int, error) {
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	if len(c.ahead) > 0 {
		n := copy(b, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	n, err := c.Conn.Read(b)
	if n > 0 && !c.heard.Load() {
		c.heard.Store(true)
	}
	if err != nil {
		c.awaitDecision()
	}
	return n, err
}

// Write fails at once after Close.
func (c *clientConn) Write(b []byte) (int, error) {
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	if told := c.told; told != nil {
		c.told = nil
		if bytes.Equal(b, told) {
			return len(b), nil
		}
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
