package mysqlwire

import (
	"encoding/binary"
	"errors"
)

// HandshakeResponse41 is the client's answer to the greeting. Which fields it
// has on the wire, Capabilities says.
type HandshakeResponse41 struct {
	Capabilities  Capabilities
	MaxPacketSize uint32
	Charset       byte
	User          string
	// AuthResponse answers the scramble; it may be or reveal a password.
	AuthResponse []byte
	Database     string
	Plugin       string
	// Attributes are the connection attributes as they are on the wire,
	// without the length in front.
	Attributes []byte
	// ZstdLevel counts with ClientZstdCompressionAlgorithm.
	ZstdLevel byte
}

// ErrHandshakeResponse320 is the answer of a client older than MySQL 4.1.
var ErrHandshakeResponse320 = errors.New("HandshakeResponse320: the client speaks the protocol from before MySQL 4.1")

// IsSSLRequest says whether payload is an SSLRequest: the fixed part of a
// response with ClientSSL and nothing behind it.
func IsSSLRequest(payload []byte) bool {
	return len(payload) == responseFixedLength &&
		Capabilities(binary.LittleEndian.Uint32(payload)).Has(ClientSSL|ClientProtocol41)
}

// ParseHandshakeResponse41 reads an answer to the greeting. The result shares
// no memory with payload. Fields that the flags announce may be missing at the
// end, as servers accept it. An error is ErrHandshakeResponse320 or wraps
// ErrMalformed.
func ParseHandshakeResponse41(payload []byte) (HandshakeResponse41, error) {
	if len(payload) >= 2 && binary.LittleEndian.Uint16(payload)&uint16(ClientProtocol41) == 0 {
		return HandshakeResponse41{}, ErrHandshakeResponse320
	}
	c := &cursor{packet: "HandshakeResponse41", rest: payload}
	var r HandshakeResponse41
	r.Capabilities = Capabilities(c.uint32("capabilities"))
	r.MaxPacketSize = c.uint32("maximum packet size")
	r.Charset = c.uint8("charset")
	c.take(19, "filler")
	r.Capabilities = r.Capabilities.withExtended(c.uint32("extended capabilities"))
	r.User = string(c.terminated("user"))
	r.AuthResponse = append([]byte(nil), c.authResponse(r.Capabilities)...)
	if r.Capabilities.Has(ClientConnectWithDB) {
		r.Database = string(c.last())
	}
	if r.Capabilities.Has(ClientPluginAuth) {
		r.Plugin = string(c.last())
	}
	if r.Capabilities.Has(ClientConnectAttrs) && len(c.rest) > 0 {
		r.Attributes = append([]byte(nil), c.attributes()...)
	}
	if r.Capabilities.Has(ClientZstdCompressionAlgorithm) && len(c.rest) > 0 {
		r.ZstdLevel = c.uint8("zstd level")
	}
	if c.err != nil {
		return HandshakeResponse41{}, c.err
	}
	return r, nil
}

func (c *cursor) authResponse(flags Capabilities) []byte {
	const field = "auth response"
	switch {
	case flags.Has(ClientPluginAuthLenencClientData):
		return c.take(c.lenenc(field), field)
	case flags.Has(ClientSecureConnection):
		return c.take(uint64(c.uint8(field)), field)
	}
	return c.last()
}

// attributes reads the attributes and checks that they are names and values.
func (c *cursor) attributes() []byte {
	const field = "connection attributes"
	all := c.take(c.lenenc(field), field)
	inner := &cursor{packet: c.packet, rest: all}
	for len(inner.rest) > 0 {
		inner.take(inner.lenenc(field), field)
		inner.take(inner.lenenc(field), field)
	}
	if inner.err != nil {
		c.fail(field)
	}
	return all
}

// ErrNUL is a text that would end early on the wire and let what is behind
// its NUL pass for the next field.
var ErrNUL = errors.New("user, database or plugin holds a NUL byte")

// errAuthLength is an auth response that needs another encoding.
var errAuthLength = errors.New("auth response is longer than 255 bytes, which the server cannot take")

// Append appends the answer as a packet. AuthResponse is copied: if it is
// secret, give dst room for everything (Size is enough) and wipe the result.
func (r HandshakeResponse41) Append(dst []byte, sequence byte) ([]byte, error) {
	if hasNUL(r.User) || hasNUL(r.Database) || hasNUL(r.Plugin) {
		return nil, ErrNUL
	}
	dst, start := begin(dst)
	dst = r.appendFixed(dst)
	dst = appendTerminated(dst, r.User)
	switch {
	case r.Capabilities.Has(ClientPluginAuthLenencClientData):
		dst = appendLenenc(dst, uint64(len(r.AuthResponse)))
	case len(r.AuthResponse) > 255 || !r.Capabilities.Has(ClientSecureConnection):
		return nil, errAuthLength
	default:
		dst = append(dst, byte(len(r.AuthResponse)))
	}
	dst = append(dst, r.AuthResponse...)
	if r.Capabilities.Has(ClientConnectWithDB) {
		dst = appendTerminated(dst, r.Database)
	}
	if r.Capabilities.Has(ClientPluginAuth) {
		dst = appendTerminated(dst, r.Plugin)
	}
	if r.Capabilities.Has(ClientConnectAttrs) {
		dst = appendLenenc(dst, uint64(len(r.Attributes)))
		dst = append(dst, r.Attributes...)
	}
	if r.Capabilities.Has(ClientZstdCompressionAlgorithm) {
		dst = append(dst, r.ZstdLevel)
	}
	return finish(dst, start, sequence), nil
}

// Size is no less than what Append appends.
func (r HandshakeResponse41) Size() int {
	const lengths, terminators = 2 * 9, 3
	return HeaderSize + responseFixedLength + lengths + terminators + 1 +
		len(r.User) + len(r.AuthResponse) + len(r.Database) + len(r.Plugin) + len(r.Attributes)
}

// AppendSSLRequest appends the fixed part alone, which asks for TLS. The
// capabilities must have ClientSSL.
func (r HandshakeResponse41) AppendSSLRequest(dst []byte, sequence byte) []byte {
	dst, start := begin(dst)
	return finish(r.appendFixed(dst), start, sequence)
}

func (r HandshakeResponse41) appendFixed(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(r.Capabilities))
	dst = binary.LittleEndian.AppendUint32(dst, r.MaxPacketSize)
	dst = append(dst, r.Charset)
	dst = append(dst, make([]byte, 19)...)
	return binary.LittleEndian.AppendUint32(dst, r.Capabilities.extended())
}
