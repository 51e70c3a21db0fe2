package keychain

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// fromUTF16 is the text of a Windows credential in UTF-8. Windows' own programs
// store UTF-16 and libraries UTF-8, and nothing says which: only UTF-16 has
// bytes that are zero. It takes over b.
func fromUTF16(b []byte) []byte {
	if len(b)%2 != 0 || !bytes.Contains(b, []byte{0}) {
		return b
	}
	out := make([]byte, 0, len(b)/2*utf8.UTFMax)
	for i := 0; i < len(b); i += 2 {
		r := rune(b[i]) | rune(b[i+1])<<8
		if utf16.IsSurrogate(r) && i+3 < len(b) {
			if pair := utf16.DecodeRune(r, rune(b[i+2])|rune(b[i+3])<<8); pair != utf8.RuneError {
				r, i = pair, i+2
			}
		}
		out = utf8.AppendRune(out, r)
	}
	clear(b)
	return out
}
