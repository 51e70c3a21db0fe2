package tdsserver

import (
	"encoding/binary"
	"errors"
)

// Login is what a LOGIN7 said, [MS-TDS] 2.2.6.4. The password is not kept.
type Login struct {
	TDSVersion     uint32
	PacketSize     int
	HostName       string
	UserName       string
	AppName        string
	ServerName     string
	InterfaceName  string
	Language       string
	Database       string
	AttachFile     string
	ReadOnlyIntent bool
	Integrated     bool // asks for SSPI
	ChangePassword bool
	// Features are the identifiers in FeatureExt, in order.
	Features []byte
	// Encrypted says whether the login came over TLS, Strict whether TLS came
	// before PRELOGIN.
	Encrypted, Strict bool
	// Prelogin is the encryption byte of the client's PRELOGIN.
	Prelogin byte
	// ClientCert is the common name in the client's certificate, if it has one.
	ClientCert string
	// Err is the number of the error the login was answered with, 0 for success.
	Err int32
}

// login7Fixed is where the variable part may begin; before TDS 7.2, which added
// a new password and a longer SSPI.
const login7Fixed = 86

// Bits of OptionFlags2, TypeFlags and OptionFlags3.
const (
	flagIntegrated     = 0x80
	flagReadOnly       = 0x20
	flagChangePassword = 0x01
	flagExtension      = 0x10
)

var errLogin7 = errors.New("LOGIN7 is malformed")

// parseLogin7 returns the login and the password, both as sent.
func parseLogin7(b []byte) (Login, string, error) {
	if len(b) < login7Fixed || int(binary.LittleEndian.Uint32(b)) != len(b) {
		return Login{}, "", errLogin7
	}
	l := Login{
		TDSVersion:     binary.LittleEndian.Uint32(b[4:]),
		PacketSize:     int(binary.LittleEndian.Uint32(b[8:])),
		Integrated:     b[25]&flagIntegrated != 0,
		ReadOnlyIntent: b[26]&flagReadOnly != 0,
		ChangePassword: b[27]&flagChangePassword != 0,
	}
	var password string
	for i, field := range []*string{
		&l.HostName, &l.UserName, &password, &l.AppName, &l.ServerName, nil, &l.InterfaceName, &l.Language, &l.Database,
	} {
		at, length := login7Field(b, 36+4*i)
		if field == nil {
			continue
		}
		if at+2*length > len(b) {
			return l, "", errLogin7
		}
		raw := b[at : at+2*length]
		if field == &password {
			raw = revealed(raw)
		}
		*field = decodeUTF16(raw)
	}
	if at, length := login7Field(b, 82); at+2*length <= len(b) {
		l.AttachFile = decodeUTF16(b[at : at+2*length])
	}
	if b[27]&flagExtension != 0 {
		features, err := featureExt(b)
		if err != nil {
			return l, "", err
		}
		l.Features = features
	}
	return l, password, nil
}

func login7Field(b []byte, entry int) (at, length int) {
	return int(binary.LittleEndian.Uint16(b[entry:])), int(binary.LittleEndian.Uint16(b[entry+2:]))
}

// revealed undoes what LOGIN7 does to a password.
func revealed(b []byte) []byte {
	out := make([]byte, len(b))
	for i, c := range b {
		c ^= 0xA5
		out[i] = c<<4 | c>>4
	}
	return out
}

// featureExt lists the features. The extension field points to the offset of
// the block, which ends with 0xFF.
func featureExt(b []byte) ([]byte, error) {
	at, length := login7Field(b, 56)
	if length < 4 || at+4 > len(b) {
		return nil, errLogin7
	}
	at = int(binary.LittleEndian.Uint32(b[at:]))
	if at >= len(b) {
		return nil, errLogin7
	}
	c := cursor{data: b[at:]}
	var all []byte
	for {
		id := c.uint8()
		if c.err != nil {
			return nil, errLogin7
		}
		if id == 0xFF {
			return all, nil
		}
		c.bytes(int(c.uint32()))
		all = append(all, id)
	}
}
