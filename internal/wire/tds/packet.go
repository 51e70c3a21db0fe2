// Package tds is the part of the Tabular Data Stream protocol ([MS-TDS],
// versions 7.0 to 8.0) that a login needs: packets, PRELOGIN, LOGIN7, the
// tokens of a login's response, and TLS inside PRELOGIN packets. It is a codec:
// it decides nothing about whom to trust or what to answer.
//
// Parsed messages borrow from the bytes they were parsed from. Every count,
// length and offset of the other side is checked before it is used.
package tds

import (
	"encoding/binary"
	"fmt"
)

// PacketType is the first byte of a packet header ([MS-TDS] 2.2.3.1.1).
type PacketType byte

// The packet types.
const (
	TypeBatch       PacketType = 0x01 // SQL batch
	TypeOldLogin    PacketType = 0x02 // login of TDS 4.2 and 5.0
	TypeRPC         PacketType = 0x03
	TypeReply       PacketType = 0x04 // tabular result: everything a server sends
	TypeAttention   PacketType = 0x06
	TypeBulk        PacketType = 0x07
	TypeFedAuth     PacketType = 0x08
	TypeTransaction PacketType = 0x0E
	TypeLogin7      PacketType = 0x10
	TypeSSPI        PacketType = 0x11
	TypePrelogin    PacketType = 0x12
)

// The bits of a packet's status ([MS-TDS] 2.2.3.1.2).
const (
	StatusEOM           = 0x01 // last packet of its message
	StatusIgnore        = 0x02
	StatusReset         = 0x08
	StatusResetKeepTran = 0x10
)

const (
	// HeaderSize is the size of a packet header.
	HeaderSize = 8
	// LoginPacketSize is the size of packets until a login negotiates another.
	LoginPacketSize = 4096
	// MaxLogin7 is the longest LOGIN7 message ([MS-TDS] 2.2.6.4).
	MaxLogin7 = 128<<10 - 1
)

// Header is a packet header.
type Header struct {
	Type   PacketType
	Status byte
	// Length counts the header too.
	Length uint16
	SPID   uint16
	ID     byte
	Window byte
}

// ParseHeader reads the header at the start of b, which holds HeaderSize bytes
// at least.
func ParseHeader(b []byte) (Header, error) {
	h := Header{
		Type: PacketType(b[0]), Status: b[1],
		Length: binary.BigEndian.Uint16(b[2:]), SPID: binary.BigEndian.Uint16(b[4:]),
		ID: b[6], Window: b[7],
	}
	if h.Length < HeaderSize {
		return h, malformed("packet", "length %d is below that of its header", h.Length)
	}
	return h, nil
}

// Append appends the header to dst.
func (h Header) Append(dst []byte) []byte {
	dst = append(dst, byte(h.Type), h.Status)
	dst = binary.BigEndian.AppendUint16(dst, h.Length)
	dst = binary.BigEndian.AppendUint16(dst, h.SPID)
	return append(dst, h.ID, h.Window)
}

// Last says whether the packet ends its message.
func (h Header) Last() bool { return h.Status&StatusEOM != 0 }

// AppendMessage appends body to dst as a message of as many packets of at most
// packetSize bytes as it takes.
func AppendMessage(dst []byte, kind PacketType, spid uint16, packetSize int, body []byte) []byte {
	for id := byte(1); ; id++ {
		part := body[:min(len(body), packetSize-HeaderSize)]
		body = body[len(part):]
		h := Header{Type: kind, Length: uint16(HeaderSize + len(part)), SPID: spid, ID: id}
		if len(body) == 0 {
			h.Status = StatusEOM
		}
		dst = append(h.Append(dst), part...)
		if len(body) == 0 {
			return dst
		}
	}
}

// Error is a message that breaks the protocol. Its text quotes numbers only,
// nothing of the message.
type Error struct {
	What string // the structure: "packet", "LOGIN7" …
	Why  string
}

// Error is what was wrong with what.
func (e *Error) Error() string { return e.What + ": " + e.Why }

func malformed(what, format string, args ...any) error {
	return &Error{What: what, Why: fmt.Sprintf(format, args...)}
}
