package relay

import (
	"crypto/tls"
	"net"
	"testing"
)

// layer is a connection on top of another.
type layer struct{ net.Conn }

func (l layer) NetConn() net.Conn { return l.Conn }

func TestTransportIsBelowAllLayers(t *testing.T) {
	bottom, other := net.Pipe()
	defer bottom.Close()
	defer other.Close()
	for name, conn := range map[string]net.Conn{
		"plain":              bottom,
		"TLS":                tls.Client(bottom, nil),
		"TLS over a framing": tls.Client(layer{bottom}, nil),
		"three layers":       layer{tls.Client(layer{bottom}, nil)},
	} {
		if transport(conn) != bottom {
			t.Errorf("%s: not the connection at the bottom", name)
		}
	}
}
