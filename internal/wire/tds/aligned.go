package tds

import (
	"encoding/binary"
	"net"
)

const (
	// smpByte starts a packet of several active result sets ([MC-SMP] 2.2.1).
	smpByte   = 0x53
	smpHeader = 16
	// maxSMP bounds an SMP packet: its header and a TDS packet.
	maxSMP = smpHeader + 0xFFFF
)

// Aligned is a TLS connection to a SQL Server. SQL Server closes a connection
// on which a TDS packet is divided between TLS records or shares one (SqlClient
// issue 2141, tedious issue 1762), so whatever the pieces are that Write gets,
// each packet leaves with one Write of its own. The last piece of an unfinished
// packet waits, which no server could act on anyway. Bytes that are no packets
// pass as they come.
//
// The connection below must make one record of one Write: tls.Config's
// DynamicRecordSizingDisabled.
type Aligned struct {
	net.Conn
	part   []byte // the start of an unfinished packet
	opaque bool   // what is written is no TDS
}

// Align makes an Aligned of conn.
func Align(conn net.Conn) *Aligned { return &Aligned{Conn: conn} }

// Write writes the packets that p completes. Not safe for concurrent use.
func (a *Aligned) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 && !a.opaque {
		n, err := a.packet(p)
		if err != nil {
			return total - len(p), err
		}
		p = p[n:]
	}
	if len(p) == 0 {
		return total, nil
	}
	if err := a.flush(); err != nil {
		return total - len(p), err
	}
	n, err := a.Conn.Write(p)
	return total - len(p) + n, err
}

// packet writes or keeps the bytes of p that belong to one packet, and returns
// how many they are.
func (a *Aligned) packet(p []byte) (int, error) {
	if len(a.part) == 0 && len(p) >= HeaderSize {
		if size := packetSize(p); size > 0 && size <= len(p) {
			_, err := a.Conn.Write(p[:size])
			return size, err
		}
	}
	taken := a.keep(p, HeaderSize)
	if len(a.part) < HeaderSize {
		return taken, nil
	}
	size := packetSize(a.part)
	if size == 0 {
		a.opaque = true
		return taken, a.flush()
	}
	taken += a.keep(p[taken:], size)
	if len(a.part) < size {
		return taken, nil
	}
	return taken, a.flush()
}

// keep moves bytes of p to the part until that has size bytes.
func (a *Aligned) keep(p []byte, size int) int {
	n := min(len(p), max(0, size-len(a.part)))
	a.part = append(a.part, p[:n]...)
	return n
}

// packetSize is the size of the packet whose header is in b: 0 for what is no
// packet.
func packetSize(b []byte) int {
	if b[0] == smpByte {
		if length := binary.LittleEndian.Uint32(b[4:]); length >= smpHeader && length <= maxSMP {
			return int(length)
		}
		return 0
	}
	h, err := ParseHeader(b)
	if err != nil {
		return 0
	}
	return int(h.Length)
}

// flush writes the part and lets its memory go: an idle connection holds none.
func (a *Aligned) flush() error {
	part := a.part
	a.part = nil
	if len(part) == 0 {
		return nil
	}
	_, err := a.Conn.Write(part)
	return err
}

// CloseWrite writes what is left and closes the writing half.
func (a *Aligned) CloseWrite() error {
	if err := a.flush(); err != nil {
		return err
	}
	if half, ok := a.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// NetConn is the connection at the bottom, below TLS.
func (a *Aligned) NetConn() net.Conn { return bottom(a.Conn) }

func bottom(conn net.Conn) net.Conn {
	for {
		layer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = layer.NetConn()
	}
}
