package tds

import (
	"errors"
	"unicode/utf8"
)

// ErrPassword is a password that TDS cannot carry.
var ErrPassword = errors.New("password is no UTF-8 text")

// ObfuscatePassword is a UTF-8 password as LOGIN7 carries it ([MS-TDS]
// 2.2.6.4): obscured, not encrypted. The result is the caller's to clear; no
// other copy is made.
func ObfuscatePassword(password []byte) ([]byte, error) {
	if !utf8.Valid(password) {
		return nil, ErrPassword
	}
	out := make([]byte, 0, 2*len(password)) // enough: it must not be moved and leave a copy
	for rest := password; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		out = appendRune(out, r)
		rest = rest[size:]
	}
	for i, b := range out {
		out[i] = (b<<4 | b>>4) ^ 0xA5
	}
	return out, nil
}

// RevealPassword is the password in a LOGIN7.
func RevealPassword(obfuscated []byte) Text {
	out := make(Text, len(obfuscated))
	for i, b := range obfuscated {
		b ^= 0xA5
		out[i] = b<<4 | b>>4
	}
	return out
}
