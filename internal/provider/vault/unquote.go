package vault

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// unquote decodes a JSON string that encoding/json has accepted. That package
// only decodes into Go strings, which cannot be wiped.
func unquote(raw []byte) []byte {
	raw = raw[1 : len(raw)-1]
	out := make([]byte, 0, len(raw)) // never longer than its spelling
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		if raw[i+1] != 'u' {
			out = append(out, unescape(raw[i+1]))
			i += 2
			continue
		}
		r, n := unicodeEscape(raw[i:])
		out = utf8.AppendRune(out, r)
		i += n
	}
	return out
}

func unescape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c // a quotation mark, a slash or a backslash
}

// unicodeEscape decodes the escape at the start of b, two of them if they are a
// surrogate pair, and returns how long it is.
func unicodeEscape(b []byte) (rune, int) {
	const one = len(`\u0000`)
	first := hex4(b)
	if !utf16.IsSurrogate(first) {
		return first, one
	}
	if len(b) >= 2*one && b[one] == '\\' && b[one+1] == 'u' {
		if r := utf16.DecodeRune(first, hex4(b[one:])); r != utf8.RuneError {
			return r, 2 * one
		}
	}
	return utf8.RuneError, one
}

func hex4(b []byte) rune {
	n, _ := strconv.ParseUint(string(b[2:6]), 16, 32)
	return rune(n)
}
