package tds

import (
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// Text is a string as TDS has it: UTF-16, little-endian, possibly with lone
// surrogates, which pass unchanged.
type Text []byte

// MakeText makes a Text of s; what is no UTF-8 becomes U+FFFD.
func MakeText(s string) Text {
	out := make(Text, 0, 2*len(s))
	for _, r := range s {
		out = appendRune(out, r)
	}
	return out
}

// String is the text in UTF-8; lone surrogates become U+FFFD.
func (t Text) String() string {
	units := make([]uint16, len(t)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(t[2*i:])
	}
	return string(utf16.Decode(units))
}

// Len is the number of UTF-16 units, which is how TDS counts.
func (t Text) Len() int { return len(t) / 2 }

func appendRune(dst []byte, r rune) []byte {
	if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(high))
		return binary.LittleEndian.AppendUint16(dst, uint16(low))
	}
	return binary.LittleEndian.AppendUint16(dst, uint16(r))
}
