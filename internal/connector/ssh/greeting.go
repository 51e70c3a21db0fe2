package ssh

import (
	"bytes"
	"net"
)

// versionPrefix begins the first line of either side (RFC 4253 section 4.2).
const versionPrefix = "SSH-"

// greeting is a connection that knows whether its other side has begun to speak
// SSH: what serves another protocol often says something and hangs up, which
// looks like a target that is overloaded.
type greeting struct {
	net.Conn
	last  []byte // fewer than versionPrefix has
	spoke bool
	ssh   bool
}

// Read implements net.Conn.
func (g *greeting) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if n > 0 && !g.ssh {
		g.spoke = true
		seen := append(g.last, p[:n]...)
		g.ssh = bytes.Contains(seen, []byte(versionPrefix))
		g.last = append([]byte(nil), seen[max(0, len(seen)-len(versionPrefix)+1):]...)
	}
	return n, err
}

// foreign says whether all that was heard is no SSH.
func (g *greeting) foreign() bool { return g.spoke && !g.ssh }
