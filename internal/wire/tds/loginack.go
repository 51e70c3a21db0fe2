package tds

import "encoding/binary"

// LoginAck is a LOGINACK token ([MS-TDS] 2.2.7.14).
type LoginAck struct {
	Interface byte
	// TDSVersion is big-endian on the wire, unlike LOGIN7's, and in the same
	// numbers here; 7.0 and 7.1 have others than in LOGIN7.
	TDSVersion uint32
	ProgName   string
	ProgVer    [4]byte
}

// ParseLoginAck reads the data of a LOGINACK token.
func ParseLoginAck(data []byte) (LoginAck, error) {
	c := cursor{data, true}
	a := LoginAck{Interface: c.byte(), TDSVersion: binary.BigEndian.Uint32(c.take(4))}
	a.ProgName = c.text(int(c.byte())).String()
	copy(a.ProgVer[:], c.take(4))
	if !c.ok {
		return LoginAck{}, cutOff(TokenLoginAck)
	}
	return a, nil
}

// Append appends the token to dst.
func (a LoginAck) Append(dst []byte) []byte {
	data := []byte{a.Interface}
	data = binary.BigEndian.AppendUint32(data, a.TDSVersion)
	data = appendByteText(data, a.ProgName)
	return AppendToken(dst, TokenLoginAck, append(data, a.ProgVer[:]...))
}
