package mysqlwire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by every error of a parser.
var ErrMalformed = errors.New("malformed packet")

func malformed(packet, field string) error {
	return fmt.Errorf("%w: %s ends or is wrong at its %s", ErrMalformed, packet, field)
}

// cursor reads fields one after the other. The first that does not fit fails
// it, and all that follow are empty.
type cursor struct {
	packet string
	rest   []byte
	err    error
}

func (c *cursor) fail(field string) {
	if c.err == nil {
		c.err = malformed(c.packet, field)
	}
	c.rest = nil
}

// take returns the next n bytes, nil if there are fewer.
func (c *cursor) take(n uint64, field string) []byte {
	if c.err != nil || n > uint64(len(c.rest)) {
		c.fail(field)
		return nil
	}
	out := c.rest[:n]
	c.rest = c.rest[n:]
	return out
}

func (c *cursor) uint8(field string) byte {
	if b := c.take(1, field); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint16(field string) uint16 {
	if b := c.take(2, field); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) uint32(field string) uint32 {
	if b := c.take(4, field); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// lenenc reads a length-encoded integer.
func (c *cursor) lenenc(field string) uint64 {
	first := c.uint8(field)
	width := uint64(0)
	switch first {
	case 0xfc:
		width = 2
	case 0xfd:
		width = 3
	case 0xfe:
		width = 8
	case 0xfb, 0xff: // NULL, and the header of an error
		c.fail(field)
		return 0
	default:
		return uint64(first)
	}
	var n [8]byte
	copy(n[:], c.take(width, field))
	return binary.LittleEndian.Uint64(n[:])
}

// terminated reads up to a NUL, which must be there.
func (c *cursor) terminated(field string) []byte {
	text, rest, ok := bytes.Cut(c.rest, []byte{0})
	if c.err != nil || !ok {
		c.fail(field)
		return nil
	}
	c.rest = rest
	return text
}

// last reads up to a NUL or to the end: several programs leave the NUL of a
// packet's last field out.
func (c *cursor) last() []byte {
	text, rest, _ := bytes.Cut(c.rest, []byte{0})
	c.rest = rest
	return text
}

func appendLenenc(dst []byte, n uint64) []byte {
	switch {
	case n < 0xfb:
		return append(dst, byte(n))
	case n <= 0xffff:
		return binary.LittleEndian.AppendUint16(append(dst, 0xfc), uint16(n))
	case n <= 0xffffff:
		return append(dst, 0xfd, byte(n), byte(n>>8), byte(n>>16))
	}
	return binary.LittleEndian.AppendUint64(append(dst, 0xfe), n)
}

// appendTerminated appends text and a NUL; text must have none.
func appendTerminated[T ~string | ~[]byte](dst []byte, text T) []byte {
	return append(append(dst, text...), 0)
}

func hasNUL(text string) bool { return bytes.IndexByte([]byte(text), 0) >= 0 }
