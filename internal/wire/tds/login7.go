package tds

import (
	"encoding/binary"
)

// Bits of LOGIN7's flags ([MS-TDS] 2.2.6.4).
const (
	Flag2IntegratedSecurity = 0x80
	Flag3ChangePassword     = 0x01
	Flag3Extension          = 0x10
	TypeFlagReadOnlyIntent  = 0x20
)

const (
	narrowLogin = 86 // the fixed part up to TDS 7.1
	wideLogin   = 94
	login7Name  = "LOGIN7"
)

// Login7 is a LOGIN7 message.
type Login7 struct {
	TDSVersion     uint32
	PacketSize     uint32
	ClientProgVer  uint32
	ClientPID      uint32
	ConnectionID   uint32
	OptionFlags1   byte
	OptionFlags2   byte
	TypeFlags      byte
	OptionFlags3   byte
	ClientTimeZone uint32
	ClientLCID     uint32
	ClientID       [6]byte

	HostName, UserName, AppName, ServerName    Text
	CltIntName, Language, Database, AtchDBFile Text
	// Password and ChangePassword are obfuscated as on the wire: see
	// ObfuscatePassword.
	Password, ChangePassword []byte
	SSPI                     []byte
	// Features are the feature extensions, in order. Append sets and clears
	// the flag that announces them.
	Features []Feature
}

// login7Field is the place of a variable field: its offset and its length in
// UTF-16 units are at at.
type login7Field struct {
	at   int
	data func(*Login7) *[]byte
}

// login7Fields are the variable fields but SSPI and the extension, which are
// not like the others, in the order of the message.
func login7Fields(wide bool) []login7Field {
	fields := []login7Field{
		{36, func(l *Login7) *[]byte { return (*[]byte)(&l.HostName) }},
		{40, func(l *Login7) *[]byte { return (*[]byte)(&l.UserName) }},
		{44, func(l *Login7) *[]byte { return &l.Password }},
		{48, func(l *Login7) *[]byte { return (*[]byte)(&l.AppName) }},
		{52, func(l *Login7) *[]byte { return (*[]byte)(&l.ServerName) }},
		{60, func(l *Login7) *[]byte { return (*[]byte)(&l.CltIntName) }},
		{64, func(l *Login7) *[]byte { return (*[]byte)(&l.Language) }},
		{68, func(l *Login7) *[]byte { return (*[]byte)(&l.Database) }},
		{82, func(l *Login7) *[]byte { return (*[]byte)(&l.AtchDBFile) }},
	}
	if wide {
		fields = append(fields, login7Field{86, func(l *Login7) *[]byte { return &l.ChangePassword }})
	}
	return fields
}

const (
	extensionAt = 56
	clientIDAt  = 72
	sspiAt      = 78
	longSSPIAt  = 90
)

// ParseLogin7 reads the body of a LOGIN7 message. The fields borrow from body.
func ParseLogin7(body []byte) (Login7, error) {
	var l Login7
	if len(body) < narrowLogin {
		return l, malformed(login7Name, "%d bytes are too few", len(body))
	}
	if declared := binary.LittleEndian.Uint32(body); uint64(declared) != uint64(len(body)) {
		return l, malformed(login7Name, "length %d of a message of %d bytes", declared, len(body))
	}
	l.readFixed(body)
	// The first field's offset says where the fixed part ends.
	first := int(binary.LittleEndian.Uint16(body[36:]))
	wide := first >= wideLogin && len(body) >= wideLogin
	fixed := narrowLogin
	if wide {
		fixed = wideLogin
	}
	for _, f := range login7Fields(wide) {
		data, err := slice(body, fixed, int(binary.LittleEndian.Uint16(body[f.at:])), 2*int(binary.LittleEndian.Uint16(body[f.at+2:])))
		if err != nil {
			return l, err
		}
		*f.data(&l) = data
	}
	if err := l.readSSPI(body, fixed, wide); err != nil {
		return l, err
	}
	if l.OptionFlags3&Flag3Extension == 0 {
		return l, nil
	}
	return l, l.readExtension(body, fixed)
}

func (l *Login7) readFixed(b []byte) {
	l.TDSVersion = binary.LittleEndian.Uint32(b[4:])
	l.PacketSize = binary.LittleEndian.Uint32(b[8:])
	l.ClientProgVer = binary.LittleEndian.Uint32(b[12:])
	l.ClientPID = binary.LittleEndian.Uint32(b[16:])
	l.ConnectionID = binary.LittleEndian.Uint32(b[20:])
	l.OptionFlags1, l.OptionFlags2, l.TypeFlags, l.OptionFlags3 = b[24], b[25], b[26], b[27]
	l.ClientTimeZone = binary.LittleEndian.Uint32(b[28:])
	l.ClientLCID = binary.LittleEndian.Uint32(b[32:])
	copy(l.ClientID[:], b[clientIDAt:])
}

func (l *Login7) readSSPI(body []byte, fixed int, wide bool) (err error) {
	length := uint64(binary.LittleEndian.Uint16(body[sspiAt+2:]))
	if wide && length == 0xFFFF {
		if long := binary.LittleEndian.Uint32(body[longSSPIAt:]); long > 0 {
			length = uint64(long)
		}
	}
	if length > MaxLogin7 {
		return malformed(login7Name, "SSPI data of %d bytes", length)
	}
	l.SSPI, err = slice(body, fixed, int(binary.LittleEndian.Uint16(body[sspiAt:])), int(length))
	return err
}

// readExtension follows ibExtension to the offset of the features, and that to
// the features.
func (l *Login7) readExtension(body []byte, fixed int) error {
	length := int(binary.LittleEndian.Uint16(body[extensionAt+2:]))
	if length < 4 {
		return malformed(login7Name, "extension of %d bytes", length)
	}
	data, err := slice(body, fixed, int(binary.LittleEndian.Uint16(body[extensionAt:])), length)
	if err != nil {
		return err
	}
	offset := uint64(binary.LittleEndian.Uint32(data))
	if offset < uint64(fixed) || offset >= uint64(len(body)) {
		return malformed(login7Name, "features at offset %d, outside the message", offset)
	}
	l.Features, _, err = ParseFeatures(body[offset:])
	return err
}

// slice is length bytes of body at offset, which must lie behind the fixed part.
func slice(body []byte, fixed, offset, length int) ([]byte, error) {
	if length == 0 {
		return nil, nil
	}
	if offset < fixed || offset+length > len(body) {
		return nil, malformed(login7Name, "a field of %d bytes at offset %d lies outside the message", length, offset)
	}
	return body[offset : offset+length : offset+length], nil
}

// Size is at least as many bytes as Append appends.
func (l *Login7) Size() int {
	size := wideLogin + len(l.SSPI) + 5
	for _, f := range login7Fields(true) {
		size += len(*f.data(l))
	}
	for _, f := range l.Features {
		size += 5 + len(f.Data)
	}
	return size
}

// Append appends the body of the message to dst. With Size bytes of room in
// dst there is no other copy of the password, so that wiping dst is enough.
// The layout is that of TDSVersion.
func (l *Login7) Append(dst []byte) ([]byte, error) {
	wide := Wide(l.TDSVersion)
	start, fixed := len(dst), narrowLogin
	if wide {
		fixed = wideLogin
	}
	var head [wideLogin]byte
	dst = append(dst, head[:fixed]...)
	l.writeFixed(dst[start:])
	for _, f := range login7Fields(wide) {
		data := *f.data(l)
		offset, units := len(dst)-start, len(data)/2
		if offset > 0xFFFF || units > 0xFFFF {
			return nil, malformed(login7Name, "fields of more than 65535 bytes")
		}
		binary.LittleEndian.PutUint16(dst[start+f.at:], uint16(offset))
		binary.LittleEndian.PutUint16(dst[start+f.at+2:], uint16(units))
		dst = append(dst, data...)
	}
	dst, err := l.appendSSPI(dst, start, wide)
	if err != nil {
		return nil, err
	}
	if dst, err = l.appendExtension(dst, start); err != nil {
		return nil, err
	}
	if len(dst)-start > MaxLogin7 {
		return nil, malformed(login7Name, "longer than %d bytes", MaxLogin7)
	}
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(dst)-start))
	return dst, nil
}

func (l *Login7) writeFixed(b []byte) {
	binary.LittleEndian.PutUint32(b[4:], l.TDSVersion)
	binary.LittleEndian.PutUint32(b[8:], l.PacketSize)
	binary.LittleEndian.PutUint32(b[12:], l.ClientProgVer)
	binary.LittleEndian.PutUint32(b[16:], l.ClientPID)
	binary.LittleEndian.PutUint32(b[20:], l.ConnectionID)
	b[24], b[25], b[26], b[27] = l.OptionFlags1, l.OptionFlags2, l.TypeFlags, l.OptionFlags3&^Flag3Extension
	binary.LittleEndian.PutUint32(b[28:], l.ClientTimeZone)
	binary.LittleEndian.PutUint32(b[32:], l.ClientLCID)
	copy(b[clientIDAt:], l.ClientID[:])
}

func (l *Login7) appendSSPI(dst []byte, start int, wide bool) ([]byte, error) {
	offset := len(dst) - start
	if offset > 0xFFFF || !wide && len(l.SSPI) > 0xFFFF {
		return nil, malformed(login7Name, "fields of more than 65535 bytes")
	}
	binary.LittleEndian.PutUint16(dst[start+sspiAt:], uint16(offset))
	binary.LittleEndian.PutUint16(dst[start+sspiAt+2:], uint16(min(len(l.SSPI), 0xFFFF)))
	if len(l.SSPI) >= 0xFFFF && wide {
		binary.LittleEndian.PutUint32(dst[start+longSSPIAt:], uint32(len(l.SSPI)))
	}
	return append(dst, l.SSPI...), nil
}

func (l *Login7) appendExtension(dst []byte, start int) ([]byte, error) {
	if len(l.Features) == 0 {
		return dst, nil
	}
	offset := len(dst) - start
	if offset > 0xFFFF {
		return nil, malformed(login7Name, "fields of more than 65535 bytes")
	}
	dst[start+27] |= Flag3Extension
	binary.LittleEndian.PutUint16(dst[start+extensionAt:], uint16(offset))
	binary.LittleEndian.PutUint16(dst[start+extensionAt+2:], 4)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(offset+4))
	return AppendFeatures(dst, l.Features), nil
}
