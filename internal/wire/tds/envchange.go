package tds

import "encoding/binary"

// EnvType is the kind of an ENVCHANGE token ([MS-TDS] 2.2.7.9).
type EnvType byte

// The changes that a login's response may carry.
const (
	EnvDatabase   EnvType = 1
	EnvLanguage   EnvType = 2
	EnvPacketSize EnvType = 4
	EnvCollation  EnvType = 7
	EnvRouting    EnvType = 20
)

// AppendEnvText appends an ENVCHANGE with two strings to dst.
func AppendEnvText(dst []byte, t EnvType, now, before string) []byte {
	data := appendByteText([]byte{byte(t)}, now)
	return AppendToken(dst, TokenEnvChange, appendByteText(data, before))
}

// Routing is an ENVCHANGE that sends the client to another server.
type Routing struct {
	Server string // host, perhaps with \instance
	Port   uint16
}

// ParseRouting reads the data of an ENVCHANGE token of type EnvRouting. Only
// the protocol TCP exists.
func ParseRouting(data []byte) (Routing, error) {
	c := cursor{data, true}
	kind, length, protocol := EnvType(c.byte()), c.uint16(), c.byte()
	r := Routing{Port: c.uint16()}
	name := c.text(int(c.uint16()))
	r.Server = name.String()
	if !c.ok || kind != EnvRouting || int(length) != 5+len(name) {
		return Routing{}, cutOff(TokenEnvChange)
	}
	if protocol != 0 {
		return Routing{}, malformed("routing", "protocol %d", protocol)
	}
	if r.Server == "" || r.Port == 0 {
		return Routing{}, malformed("routing", "no server or no port")
	}
	return r, nil
}

// Append appends the token to dst.
func (r Routing) Append(dst []byte) []byte {
	value := binary.LittleEndian.AppendUint16([]byte{0}, r.Port)
	value = appendShortText(value, r.Server)
	data := binary.LittleEndian.AppendUint16([]byte{byte(EnvRouting)}, uint16(len(value)))
	data = append(data, value...)
	return AppendToken(dst, TokenEnvChange, append(data, 0, 0)) // no old value
}
