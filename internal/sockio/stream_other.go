//go:build !linux

package sockio

import (
	"io"
	"net"
)

// Of returns what reads and writes c, which is c itself.
func Of(c net.Conn) io.ReadWriter { return c }
