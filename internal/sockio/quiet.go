package sockio

import (
	"net"
	"syscall"
)

// Quiet says whether the socket below c, which may be a TLS connection, is open
// and nothing has come on it. No deadline may have passed, and nobody else may
// be reading. It is false where nobody can tell.
func Quiet(c net.Conn) bool {
	for {
		layer, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = layer.NetConn()
	}
	socket, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		quiet = QuietFD(fd)
		return true
	})
	return err == nil && quiet
}
