package http1wire

import (
	"errors"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// MalformedError says what is wrong with a message, without quoting it: it may
// hold secrets.
type MalformedError struct {
	// Status is what a server answers to such a request.
	Status int
	what   string
}

func (e *MalformedError) Error() string { return "malformed: " + e.what }

// NewMalformed is for what only a reader of the message can know.
func NewMalformed(status int, what string) error { return &MalformedError{status, what} }

func malformed(what string) error { return &MalformedError{http.StatusBadRequest, what} }

// ErrTooLarge is a head, or what stands around chunks, beyond the limits.
var ErrTooLarge = errors.New("too large")

// fields reads lines, each with its end, into h.
func fields(text string, h http.Header, most int) error {
	lines := strings.Count(text, "\n")
	if lines > most {
		return ErrTooLarge
	}
	values := make([]string, lines) // of all fields in one piece
	for n := 0; len(text) > 0; n++ {
		line, rest, ok := strings.Cut(text, "\r\n")
		if !ok {
			return malformed("a line does not end in CR LF")
		}
		text = rest
		if line == "" || line[0] == ' ' || line[0] == '\t' {
			return malformed("a header line is folded")
		}
		colon := strings.IndexByte(line, ':')
		if colon < 0 {
			return malformed("a header line has no colon")
		}
		if !IsToken(line[:colon]) { // also a blank in front of the colon
			return malformed("a header's name has a character that none may have")
		}
		value := trim(line[colon+1:])
		if !IsValue(value) {
			return malformed("a header's value has a control character")
		}
		name := textproto.CanonicalMIMEHeaderKey(line[:colon])
		if have, twice := h[name]; twice {
			h[name] = append(have, value)
			continue
		}
		values[n] = value
		h[name] = values[n : n+1 : n+1]
	}
	return nil
}

func trim(text string) string {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\t') {
		text = text[1:]
	}
	for len(text) > 0 && (text[len(text)-1] == ' ' || text[len(text)-1] == '\t') {
		text = text[:len(text)-1]
	}
	return text
}

// IsToken says whether text can be a method or a header's name (RFC 9110
// section 5.6.2).
func IsToken(text string) bool {
	for i := range len(text) {
		if !isTokenByte(text[i]) {
			return false
		}
	}
	return text != ""
}

func isTokenByte(c byte) bool {
	// The letters, digits and signs of a token, as bits.
	const low = 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' | 1<<'-' | 1<<'.' | (1<<10-1)<<'0'
	const high = (1<<26-1)<<('A'-64) | (1<<26-1)<<('a'-64) | 1<<('^'-64) | 1<<('_'-64) | 1<<('`'-64) | 1<<('|'-64) | 1<<('~'-64)
	switch {
	case c < 64:
		return uint64(low)>>c&1 == 1
	case c < 128:
		return uint64(high)>>(c-64)&1 == 1
	}
	return false
}

// IsValue says whether text can be a header's value: no control character but
// tab.
func IsValue(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// hasToken says whether a list header has an element, in any case.
func hasToken(values []string, token string) bool {
	for _, list := range values {
		for element := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(trim(element), token) {
				return true
			}
		}
	}
	return false
}

// framing takes the headers that say where the body ends. length is -1 for
// chunks; known is false where there is neither header. same allows a
// Content-Length to be repeated.
func framing(h http.Header, minor int, same bool) (length int64, known bool, err error) {
	codings, lengths := h["Transfer-Encoding"], h["Content-Length"]
	if len(codings) > 0 {
		switch {
		case len(lengths) > 0:
			return 0, false, malformed("it has both Content-Length and Transfer-Encoding")
		case minor == 0:
			return 0, false, malformed("HTTP/1.0 has no Transfer-Encoding")
		case len(codings) > 1 || !strings.EqualFold(codings[0], "chunked"):
			return 0, false, &MalformedError{http.StatusNotImplemented, "a Transfer-Encoding other than chunked"}
		}
		delete(h, "Transfer-Encoding")
		return -1, true, nil
	}
	if len(lengths) == 0 {
		return 0, false, nil
	}
	for _, other := range lengths[1:] {
		if !same || other != lengths[0] {
			return 0, false, malformed("it has more than one Content-Length")
		}
	}
	length, ok := parseLength(lengths[0])
	if !ok {
		return 0, false, malformed("its Content-Length is no number")
	}
	h["Content-Length"] = lengths[:1]
	return length, true, nil
}

// parseLength takes digits alone.
func parseLength(text string) (int64, bool) {
	if text == "" || len(text) > 18 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// announced takes the Trailer header: the names, without values. What would
// change the framing cannot come behind the body.
func announced(h http.Header, chunked bool) (http.Header, error) {
	lists, ok := h["Trailer"]
	if !ok {
		return nil, nil
	}
	delete(h, "Trailer")
	if !chunked {
		return nil, nil
	}
	t := http.Header{}
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			name = textproto.CanonicalMIMEHeaderKey(trim(name))
			switch {
			case name == "":
			case !IsToken(name):
				return nil, malformed("a trailer's name")
			case isFraming(name):
				return nil, malformed("a trailer that would say where the message ends")
			default:
				t[name] = nil
			}
		}
	}
	if len(t) == 0 {
		return nil, nil
	}
	return t, nil
}

func isFraming(name string) bool {
	switch name {
	case "Transfer-Encoding", "Trailer", "Content-Length", "Host":
		return true
	}
	return false
}
