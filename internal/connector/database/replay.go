package database

import "net"

// Replay is conn as if ahead, which was read from it, had not been.
func Replay(conn net.Conn, ahead []byte) net.Conn { return &replay{Conn: conn, ahead: ahead} }

type replay struct {
	net.Conn
	ahead []byte
}

func (r *replay) Read(p []byte) (int, error) {
	if len(r.ahead) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.ahead)
	r.ahead = r.ahead[n:]
	return n, nil
}

// NetConn is the connection below.
func (r *replay) NetConn() net.Conn { return r.Conn }
