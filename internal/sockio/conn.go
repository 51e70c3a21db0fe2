package sockio

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// conn is a connection whose reads and writes go another way.
type conn struct {
	net.Conn
	stream io.ReadWriter
}

// Conn is c with the reads and writes of Of.
func Conn(c net.Conn) net.Conn {
	s := Of(c)
	if s == io.ReadWriter(c) || Socket(c) != c {
		return c
	}
	return &conn{Conn: c, stream: s}
}

// Socket is what Conn was given, and every other connection itself.
func Socket(c net.Conn) net.Conn {
	if wrapped, ok := c.(*conn); ok {
		return wrapped.Conn
	}
	return c
}

// Read reads what there is, or waits for it.
func (c *conn) Read(b []byte) (int, error) { return c.stream.Read(b) }

// Write writes all of b, or fails.
func (c *conn) Write(b []byte) (int, error) { return c.stream.Write(b) }

// NetConn is the connection below.
func (c *conn) NetConn() net.Conn { return c.Conn }

// CloseWrite ends what is sent.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SyscallConn is the socket's.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}
