package sshagentwire

import (
	"encoding/binary"
	"fmt"
)

// cursor reads the data types of RFC 4251 section 5 and remembers the first
// failure, so that a message is read field by field and judged once.
type cursor struct {
	rest   []byte
	broken bool
}

func (c *cursor) take(n int) []byte {
	if c.broken || n < 0 || n > len(c.rest) {
		c.broken = true
		return nil
	}
	out := c.rest[:n:n]
	c.rest = c.rest[n:]
	return out
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// string is RFC 4251's string: bytes behind their length.
func (c *cursor) string() []byte {
	n := c.uint32()
	if uint64(n) > uint64(len(c.rest)) {
		c.broken = true
		return nil
	}
	return c.take(int(n))
}

// end is nil where everything was read and nothing is left over.
func (c *cursor) end(what string) error {
	switch {
	case c.broken:
		return fmt.Errorf("%w: %s is too short for its fields", ErrMalformed, what)
	case len(c.rest) > 0:
		return fmt.Errorf("%w: %s has %d bytes behind its last field", ErrMalformed, what, len(c.rest))
	}
	return nil
}

// AppendString appends RFC 4251's string.
func AppendString[T ~string | ~[]byte](out []byte, s T) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(s)))
	return append(out, s...)
}
