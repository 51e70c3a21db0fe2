package tds

import "encoding/binary"

// TokenType is the first byte of a token in a server's message ([MS-TDS] 2.2.7).
type TokenType byte

// The tokens of a login's response.
const (
	TokenReturnStatus  TokenType = 0x79
	TokenError         TokenType = 0xAA
	TokenInfo          TokenType = 0xAB
	TokenLoginAck      TokenType = 0xAD
	TokenFeatureExtAck TokenType = 0xAE
	TokenEnvChange     TokenType = 0xE3
	TokenSessionState  TokenType = 0xE4
	TokenSSPI          TokenType = 0xED
	TokenFedAuthInfo   TokenType = 0xEE
	TokenDone          TokenType = 0xFD
	TokenDoneProc      TokenType = 0xFE
	TokenDoneInProc    TokenType = 0xFF
)

// Token is one token. Data is what stands behind its type and length.
type Token struct {
	Type TokenType
	Data []byte
}

// NextToken splits the first token off b, which is not empty. wide is that of
// the negotiated version. Only the tokens above are known.
func NextToken(b []byte, wide bool) (t Token, rest []byte, err error) {
	t.Type = TokenType(b[0])
	b = b[1:]
	switch t.Type {
	case TokenError, TokenInfo, TokenLoginAck, TokenEnvChange, TokenSSPI:
		if len(b) < 2 {
			return t, nil, cutOff(t.Type)
		}
		return t.split(b[2:], uint64(binary.LittleEndian.Uint16(b)))
	case TokenSessionState, TokenFedAuthInfo:
		if len(b) < 4 {
			return t, nil, cutOff(t.Type)
		}
		return t.split(b[4:], uint64(binary.LittleEndian.Uint32(b)))
	case TokenReturnStatus:
		return t.split(b, 4)
	case TokenDone, TokenDoneProc, TokenDoneInProc:
		if wide {
			return t.split(b, 12)
		}
		return t.split(b, 8)
	case TokenFeatureExtAck:
		_, rest, err := ParseFeatures(b)
		if err != nil {
			return t, nil, err
		}
		t.Data = b[:len(b)-len(rest)]
		return t, rest, nil
	}
	return t, nil, malformed("token", "type %#02x in a login's response", byte(t.Type))
}

func (t Token) split(b []byte, length uint64) (Token, []byte, error) {
	if length > uint64(len(b)) {
		return t, nil, cutOff(t.Type)
	}
	t.Data = b[:length:length]
	return t, b[length:], nil
}

func cutOff(t TokenType) error { return malformed("token", "%#02x is cut off", byte(t)) }

// AppendToken appends a token whose length is a USHORT to dst.
func AppendToken(dst []byte, t TokenType, data []byte) []byte {
	dst = append(dst, byte(t))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(data)))
	return append(dst, data...)
}

// cursor reads fields; after the first that does not fit, ok is false.
type cursor struct {
	b  []byte
	ok bool
}

func (c *cursor) take(n int) []byte {
	if !c.ok || n > len(c.b) {
		c.ok = false
		return make([]byte, 8) // as long as any number
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) byte() byte     { return c.take(1)[0] }
func (c *cursor) uint16() uint16 { return binary.LittleEndian.Uint16(c.take(2)) }
func (c *cursor) uint32() uint32 { return binary.LittleEndian.Uint32(c.take(4)) }

// text reads a Text of n units.
func (c *cursor) text(n int) Text {
	b := c.take(2 * n)
	if !c.ok {
		return nil
	}
	return b
}

func appendByteText(dst []byte, s string) []byte {
	text := MakeText(s)
	n := min(text.Len(), 255)
	return append(append(dst, byte(n)), text[:2*n]...)
}

func appendShortText(dst []byte, s string) []byte {
	text := MakeText(s)
	n := min(text.Len(), 0x7000)
	return append(binary.LittleEndian.AppendUint16(dst, uint16(n)), text[:2*n]...)
}
