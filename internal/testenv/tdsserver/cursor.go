package tdsserver

import (
	"encoding/binary"
	"errors"
	"unicode/utf16"
)

// errShort is a request that ends before what it announces.
var errShort = errors.New("the request ends in the middle of a field")

// cursor reads the fields of a request. Its first error stays, and every read
// after it returns zero values, so that a parser checks once at its end.
type cursor struct {
	data []byte
	err  error
}

func (c *cursor) bytes(n int) []byte {
	if c.err != nil || n < 0 || n > len(c.data) {
		c.fail(errShort)
		return nil
	}
	b := c.data[:n:n]
	c.data = c.data[n:]
	return b
}

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *cursor) uint8() byte {
	if b := c.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint16() uint16 {
	if b := c.bytes(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if b := c.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) uint64() uint64 {
	if b := c.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// bVarchar is a UTF-16 string after a count of one byte.
func (c *cursor) bVarchar() string { return decodeUTF16(c.bytes(2 * int(c.uint8()))) }

// decodeUTF16 ignores an odd last byte.
func decodeUTF16(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

func encodeUTF16(s string) []byte {
	units := utf16.Encode([]rune(s))
	b := make([]byte, 0, 2*len(units))
	for _, u := range units {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func appendBVarchar(b []byte, s string) []byte {
	text := encodeUTF16(s)
	text = text[:min(len(text), 2*255)]
	return append(append(b, byte(len(text)/2)), text...)
}

// skipAllHeaders removes ALL_HEADERS, which TDS 7.2 and later put before a
// batch, a procedure call and a transaction request.
func (c *cursor) skipAllHeaders() {
	total := int(c.uint32())
	if total < 4 {
		c.fail(errors.New("ALL_HEADERS is shorter than its own length field"))
		return
	}
	c.bytes(total - 4)
}
