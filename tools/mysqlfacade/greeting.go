package main

import (
	"bytes"
	"net"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// offered are capabilities that the library's server does not announce because
// it could not keep the promise; the relay keeps it.
const offered = mysql.CLIENT_FOUND_ROWS | mysql.CLIENT_LOCAL_FILES | mysql.CLIENT_IGNORE_SPACE |
	mysql.CLIENT_MULTI_STATEMENTS | mysql.CLIENT_MULTI_RESULTS | mysql.CLIENT_PS_MULTI_RESULTS

// greeter announces them in HandshakeV10, the first packet written.
type greeter struct {
	net.Conn
	greeted bool
}

func (g *greeter) Write(p []byte) (int, error) {
	if !g.greeted {
		g.greeted = true
		// Header, protocol version, server version, NUL, connection id,
		// half of the nonce, NUL; then the lower half of the flags, the
		// character set, the status, and the upper half.
		at := 5 + bytes.IndexByte(p[5:], 0) + 1 + 4 + 8 + 1
		for i, place := range []int{at, at + 1, at + 5, at + 6} {
			p[place] |= byte(uint32(offered) >> (8 * i))
		}
	}
	return g.Conn.Write(p)
}
