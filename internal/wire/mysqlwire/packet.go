package mysqlwire

import "fmt"

const (
	// HeaderSize is a packet's three bytes of length and one of sequence.
	HeaderSize = 4
	// MaxPayload bounds the payload of a packet in the connection phase. The
	// longest honest one carries 64 KiB of connection attributes; a payload
	// that has to be split (16 MiB) never occurs here.
	MaxPayload = 128 << 10
)

// The first bytes of payloads.
const (
	headerOK            = 0x00
	headerAuthMoreData  = 0x01
	headerAuthNext      = 0x02
	headerAuthSwitch    = 0xfe
	headerERR           = 0xff
	protocolVersion10   = 10
	capabilityBytes     = 4
	responseFixedLength = 32 // capabilities, maximum packet, charset, filler
)

// LengthError is a length that no honest peer sends.
type LengthError struct{ Length int }

// Error names the length.
func (e LengthError) Error() string { return fmt.Sprintf("length %d is out of bounds", e.Length) }

// ParseHeader reads a packet's header, which has HeaderSize bytes: the length
// of the payload behind it, at most MaxPayload or the error is a LengthError,
// and the sequence number.
func ParseHeader(header []byte) (length int, sequence byte, err error) {
	length = int(header[0]) | int(header[1])<<8 | int(header[2])<<16
	if length > MaxPayload {
		return 0, 0, LengthError{length}
	}
	return length, header[3], nil
}

// AppendPacket appends payload as one packet. It must be shorter than 16 MiB.
func AppendPacket(dst []byte, sequence byte, payload []byte) []byte {
	dst, start := begin(dst)
	return finish(append(dst, payload...), start, sequence)
}

// begin appends room for a header; finish fills it in.
func begin(dst []byte) ([]byte, int) { return append(dst, 0, 0, 0, 0), len(dst) }

func finish(dst []byte, start int, sequence byte) []byte {
	n := len(dst) - start - HeaderSize
	dst[start], dst[start+1], dst[start+2], dst[start+3] = byte(n), byte(n>>8), byte(n>>16), sequence
	return dst
}
