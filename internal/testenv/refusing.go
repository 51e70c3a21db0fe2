package testenv

import (
	"net"
	"testing"
)

// Refusing is an address at which connections are refused until the test ends.
// It is the near end of a connection: the port of a listener that was closed is
// soon another's.
func Refusing(t testing.TB) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	near, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close() })
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	return near.LocalAddr().(*net.TCPAddr)
}
