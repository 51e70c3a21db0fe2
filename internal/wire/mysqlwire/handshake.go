package mysqlwire

import (
	"bytes"
	"encoding/binary"
)

const (
	// ScrambleSize is how many bytes of challenge the greeting carries.
	ScrambleSize = 20
	// scrambleHead of them stand before the capabilities.
	scrambleHead = 8
	// scrambleTail is the least that stands behind, a NUL included.
	scrambleTail = 13
	// maxServerVersion bounds a text that is passed on; servers' own have 60
	// bytes at most.
	maxServerVersion = 255
)

// HandshakeV10 is the server's greeting.
type HandshakeV10 struct {
	ServerVersion string
	ConnectionID  uint32
	// Scramble is the challenge without its NUL: ScrambleSize bytes, more if
	// the plugin wants more, 8 without ClientSecureConnection.
	Scramble     []byte
	Capabilities Capabilities
	Charset      byte
	Status       uint16
	// Plugin answers to Scramble; empty without ClientPluginAuth.
	Plugin string
}

// VersionError is a greeting of another protocol version than 10.
type VersionError struct{ Version byte }

// Error says that the version is unknown.
func (e VersionError) Error() string { return "protocol version is not 10" }

// ParseHandshakeV10 reads a greeting. The result shares no memory with
// payload. An error is a VersionError or wraps ErrMalformed.
func ParseHandshakeV10(payload []byte) (HandshakeV10, error) {
	c := &cursor{packet: "HandshakeV10", rest: payload}
	if v := c.uint8("protocol version"); c.err == nil && v != protocolVersion10 {
		return HandshakeV10{}, VersionError{v}
	}
	var h HandshakeV10
	version := c.terminated("server version")
	if len(version) > maxServerVersion {
		c.fail("server version")
	}
	h.ServerVersion = string(version)
	h.ConnectionID = c.uint32("connection id")
	h.Scramble = bytes.Clone(c.take(scrambleHead, "first part of the scramble"))
	c.uint8("filler")
	h.Capabilities = Capabilities(c.uint16("lower capabilities"))
	h.Charset = c.uint8("charset")
	h.Status = c.uint16("status")
	h.Capabilities |= Capabilities(c.uint16("upper capabilities")) << 16
	length := int(c.uint8("length of the scramble"))
	c.take(6, "filler")
	h.Capabilities = h.Capabilities.withExtended(c.uint32("extended capabilities"))
	if h.Capabilities.Has(ClientSecureConnection) {
		tail := c.take(uint64(max(scrambleTail, length-scrambleHead)), "second part of the scramble")
		if len(tail) > 0 && tail[len(tail)-1] == 0 {
			tail = tail[:len(tail)-1]
		}
		h.Scramble = append(h.Scramble, tail...)
	}
	if h.Capabilities.Has(ClientPluginAuth) {
		h.Plugin = string(c.last())
	}
	if c.err != nil {
		return HandshakeV10{}, c.err
	}
	return h, nil
}

// Append appends the greeting as a packet with sequence number 0. Scramble
// must have ScrambleSize to 254 bytes, ServerVersion and Plugin no NUL.
func (h HandshakeV10) Append(dst []byte) []byte {
	dst, start := begin(dst)
	dst = appendTerminated(append(dst, protocolVersion10), h.ServerVersion)
	dst = binary.LittleEndian.AppendUint32(dst, h.ConnectionID)
	dst = append(append(dst, h.Scramble[:scrambleHead]...), 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(h.Capabilities))
	dst = append(dst, h.Charset)
	dst = binary.LittleEndian.AppendUint16(dst, h.Status)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(h.Capabilities>>16))
	dst = append(dst, byte(len(h.Scramble)+1), 0, 0, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, h.Capabilities.extended())
	if h.Capabilities.Has(ClientSecureConnection) {
		dst = append(append(dst, h.Scramble[scrambleHead:]...), 0)
	}
	if h.Capabilities.Has(ClientPluginAuth) {
		dst = appendTerminated(dst, h.Plugin)
	}
	return finish(dst, start, 0)
}
