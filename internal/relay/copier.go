package relay

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// smallBuffer is what a copying goroutine waits with. It takes a pooled
	// buffer once a read fills the small one, and gives it back when reads
	// are small again, so that an idle pair holds no large one.
	smallBuffer = 4 << 10
	// lastWords is how long the bytes of a side that can no longer be written
	// to may take to reach the other side.
	lastWords = time.Second
)

// copier is a pair on two goroutines.
type copier struct {
	set   *copiers
	conns [2]net.Conn
	io    [2]io.ReadWriter // reads and writes conns
	ahead [2][]byte
	idle  uint32
	last  atomic.Uint32   // tick of the last byte moved
	left  atomic.Int32    // directions still running
	moved [2]atomic.Int64 // written by the direction's own goroutine
	owner Owner

	mu     sync.Mutex
	err    error // why the pair ends, if not in order
	closed bool  // both connections have been closed
}

// Stop implements Handle.
func (c *copier) Stop(cause error) { c.end(cause, nil) }

// run carries one direction to its end.
func (c *copier) run(from Side) {
	err := c.carry(from)
	switch {
	case err == nil:
	case err.Op == "read":
		c.end(err, c.conns[from.other()])
	default:
		c.lastWords(err)
	}
	c.ahead[from] = nil
	if c.left.Add(-1) == 0 {
		c.finish()
	}
}

// carry returns nil once the end of file has been passed on.
func (c *copier) carry(from Side) *SocketError {
	src, to := c.io[from], from.other()
	if len(c.ahead[from]) > 0 {
		if err := c.write(from, c.ahead[from]); err != nil {
			return err
		}
	}
	var (
		small = make([]byte, smallBuffer)
		buf   = small
		large *buffer
	)
	release := func() {
		if large != nil {
			c.set.large.Put(large)
			large, buf = nil, small
		}
	}
	defer release()
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if err := c.write(from, buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return c.passEnd(to)
		}
		if err != nil {
			return &SocketError{from, "read", err}
		}
		if n < smallBuffer {
			release()
		} else if large == nil {
			large = c.set.large.Get().(*buffer)
			buf = large[:]
		}
	}
}

func (c *copier) write(from Side, b []byte) *SocketError {
	c.last.Store(c.set.now.Load())
	n, err := c.io[from.other()].Write(b)
	c.moved[from].Add(int64(n))
	if err != nil {
		return &SocketError{from.other(), "write", err}
	}
	c.last.Store(c.set.now.Load())
	return nil
}

// passEnd tells side to that nothing more comes: a FIN, or TLS's close_notify.
// A connection that cannot be closed by halves ends whole.
func (c *copier) passEnd(to Side) *SocketError {
	half, ok := c.conns[to].(interface{ CloseWrite() error })
	if !ok {
		c.end(nil, nil)
		return nil
	}
	err := half.CloseWrite()
	// ENOTCONN: the side is gone already, as reading from it will tell.
	if err != nil && !errors.Is(err, syscall.ENOTCONN) && !errors.Is(err, net.ErrClosed) {
		return &SocketError{to, "write", err}
	}
	return nil
}

// end closes both connections, which ends both goroutines. The first cause is
// kept. A side in reset learns by a TCP reset, lest it take the end of the
// other's failure for an orderly one.
func (c *copier) end(cause error, reset net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	if c.err == nil {
		c.err = cause
	}
	if reset != nil && !errors.Is(cause, io.ErrUnexpectedEOF) {
		if tcp, ok := transport(reset).(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // fails only on a socket that is gone
		}
	}
	for _, conn := range c.conns {
		// Not the TLS layer's own Close: it may wait seconds for a peer that
		// does not read, and its close_notify would vouch for a stream that
		// was cut short.
		transport(conn).Close()
	}
}

// lastWords ends the pair soon after side err.Side could not be written to:
// what that side sent before it went away (often the protocol's goodbye) may
// still reach the other.
func (c *copier) lastWords(err *SocketError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && !c.closed {
		c.err = err
		until := time.Now().Add(lastWords)
		_ = transport(c.conns[err.Side]).SetReadDeadline(until)
		_ = transport(c.conns[err.Side.other()]).SetWriteDeadline(until)
	}
}

// finish is called by the last of the two goroutines.
func (c *copier) finish() {
	c.mu.Lock()
	closed, err := c.closed, c.err
	c.closed = true
	c.mu.Unlock()
	for _, conn := range c.conns {
		switch {
		case closed:
		case err != nil:
			transport(conn).Close()
		default:
			// Both ends were passed on: nothing is left to be sent that
			// could hold this up.
			conn.Close()
		}
	}
	c.set.remove(c)
	c.set.ledger.settle(c.owner, Result{ToTarget: c.moved[Client].Load(), ToClient: c.moved[Target].Load(), Err: err})
}

// transport is the connection below all layers: TLS, or TLS and a framing below
// it.
func transport(c net.Conn) net.Conn {
	for {
		layer, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return c
		}
		c = layer.NetConn()
	}
}
