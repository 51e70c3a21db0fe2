package peer

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// maxWrappers bounds how many layers (TLS, read-ahead) are taken off a
// connection to find its socket.
const maxWrappers = 8

var errNoSocket = errors.New("the connection has no socket of the operating system")

// control runs f on the descriptor of conn's socket.
func control(conn net.Conn, f func(fd int) error) error {
	for range maxWrappers {
		if s, ok := conn.(syscall.Conn); ok {
			return controlSocket(s, f)
		}
		w, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = w.NetConn()
	}
	return errNoSocket
}

func controlSocket(s syscall.Conn, f func(fd int) error) error {
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// tcpEnds returns the addresses of a TCP connection as its client sees them.
// IPv4 in IPv6 becomes plain IPv4. ok is false for any other connection.
func tcpEnds(conn net.Conn) (client, server netip.AddrPort, ok bool) {
	local, ok := conn.LocalAddr().(*net.TCPAddr)
	if !ok {
		return client, server, false
	}
	remote, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return client, server, false
	}
	return unmap(remote.AddrPort()), unmap(local.AddrPort()), true
}

func isUnix(conn net.Conn) bool {
	_, ok := conn.LocalAddr().(*net.UnixAddr)
	return ok
}
