// Package plainjson keeps JSON from driving a terminal. JSON escapes the first
// 32 characters, and no others that are control characters (of which U+009B
// begins a command for many terminals), change the direction of text or have no
// width.
package plainjson

import (
	"bytes"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Escape returns JSON with the same meaning in which everything can be seen but
// line feeds: json itself where that is so already. In JSON that is written with
// tabs these become invalid; programs write spaces.
func Escape(json []byte) []byte {
	if !bytes.ContainsFunc(json, hidden) {
		return json
	}
	out := make([]byte, 0, 2*len(json))
	for _, r := range string(json) {
		if !hidden(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			out = fmt.Appendf(out, `\u%04x`, unit)
		}
	}
	return out
}

func hidden(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }

// Writer escapes what is written through it; each call has to be with whole
// characters, as those of encoders are. It is as safe for concurrent use as to.
func Writer(to io.Writer) io.Writer { return writer{to} }

type writer struct{ to io.Writer }

// Write writes all of b or fails.
func (w writer) Write(b []byte) (int, error) {
	if _, err := w.to.Write(Escape(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}
