package tds

import (
	"io"
	"net"
)

// TLSConn carries the TLS handshake of TDS 7: inside PRELOGIN packets until
// HandshakeDone, then as it is ([MS-TDS] 3.2.5.2). It never reads beyond the
// packet at hand. TLS must not go beyond 1.2: 1.3 sends handshake messages when
// one side already takes the handshake for done.
type TLSConn struct {
	net.Conn
	left int // bytes of the current packet
	done bool
}

// NewTLSConn makes a TLSConn of conn, from which nothing may have been read
// ahead.
func NewTLSConn(conn net.Conn) *TLSConn { return &TLSConn{Conn: conn} }

// HandshakeDone ends the wrapping. Not to be called beside Read or Write.
func (c *TLSConn) HandshakeDone() { c.done = true }

// Read reads TLS records.
func (c *TLSConn) Read(p []byte) (int, error) {
	for c.left == 0 && !c.done {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	if c.left > 0 {
		p = p[:min(len(p), c.left)]
	}
	n, err := c.Conn.Read(p)
	c.left -= min(n, c.left)
	return n, err
}

func (c *TLSConn) next() error {
	var head [HeaderSize]byte
	if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
		return err
	}
	h, err := ParseHeader(head[:])
	if err == nil && h.Type != TypePrelogin {
		err = malformed("TLS handshake", "packet of type %#02x", byte(h.Type))
	}
	c.left = int(h.Length) - HeaderSize
	return err
}

// Write writes TLS records, during the handshake as one message.
func (c *TLSConn) Write(p []byte) (int, error) {
	if c.done {
		return c.Conn.Write(p)
	}
	if _, err := c.Conn.Write(AppendMessage(nil, TypePrelogin, 0, LoginPacketSize, p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// CloseWrite closes the writing half, where the connection can.
func (c *TLSConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// NetConn is the connection below.
func (c *TLSConn) NetConn() net.Conn { return c.Conn }
