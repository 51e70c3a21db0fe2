package http1wire

import (
	"errors"
	"net/http"
	"net/textproto"
	"slices"
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

// lines reads header lines, each with its end, and adds them to f.
func (f *Fields) lines(text string, most int) error {
	n := strings.Count(text, "\n")
	if n > most {
		return ErrTooLarge
	}
	*f = slices.Grow(*f, n)
	for len(text) > 0 {
		end := strings.IndexByte(text, '\n')
		if end < 1 || text[end-1] != '\r' {
			return malformed("a line does not end in CR LF")
		}
		line := text[:end-1]
		text = text[end+1:]
		if line == "" || line[0] == ' ' || line[0] == '\t' {
			return malformed("a header line is folded")
		}
		colon := strings.IndexByte(line, ':')
		if colon < 0 {
			return malformed("a header line has no colon")
		}
		name, ok := canonical(line[:colon])
		if !ok { // also a blank in front of the colon
			return malformed("a header's name has a character that none may have")
		}
		value := trim(line[colon+1:])
		if !IsValue(value) {
			return malformed("a header's value has a control character")
		}
		*f = append(*f, Field{name, value})
	}
	return nil
}

// canonical is the canonical spelling of a name; not ok for what is none.
func canonical(name string) (string, bool) {
	differs, first := false, true
	for i := range len(name) {
		c := name[i]
		if !isTokenByte(c) {
			return "", false
		}
		differs = differs || first && 'a' <= c && c <= 'z' || !first && 'A' <= c && c <= 'Z'
		first = c == '-'
	}
	if differs {
		name = textproto.CanonicalMIMEHeaderKey(name)
	}
	return name, name != ""
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
	// Eight bytes at a time, as long as all of them are plain.
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for len(text) >= 8 {
		b := text[:8]
		x := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		del := x ^ 0x7f*ones
		// A byte's high bit is set where it is below a blank, or is DEL.
		if ((x-' '*ones)&^x|(del-ones)&^del)&highs != 0 && !isPlain(b) {
			return false
		}
		text = text[8:]
	}
	return isPlain(text)
}

func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// hasToken says whether a list has an element, in any case.
func hasToken(list, token string) bool {
	for list != "" {
		var element string
		element, list, _ = strings.Cut(list, ",")
		if strings.EqualFold(trim(element), token) {
			return true
		}
	}
	return false
}

// said is what a head says about its message and its connection. take finds it.
type said struct {
	hosts, lengths, codings int
	host, length, coding    string // the first of each
	lengthsDiffer           bool
	connection              bool
	close, keep             bool
	trailers                bool
}

// take finds what f says, in one pass, and takes out what is not passed on: the
// Host of a request, Transfer-Encoding, and the same Content-Length once more.
// Trailer stays for announced.
func (s *said) take(f *Fields, request bool) {
	kept := (*f)[:0]
	for _, field := range *f {
		switch field.Name {
		case "Host":
			if request {
				if s.hosts++; s.hosts == 1 {
					s.host = field.Value
				}
				continue
			}
		case "Content-Length":
			if s.lengths++; s.lengths > 1 {
				s.lengthsDiffer = s.lengthsDiffer || field.Value != s.length
				continue
			}
			s.length = field.Value
		case "Transfer-Encoding":
			if s.codings++; s.codings == 1 {
				s.coding = field.Value
			}
			continue
		case "Connection":
			s.connection = true
			s.close = s.close || hasToken(field.Value, "close")
			s.keep = s.keep || hasToken(field.Value, "keep-alive")
		case "Trailer":
			s.trailers = true
		}
		kept = append(kept, field)
	}
	clear((*f)[len(kept):])
	*f = kept
}

// framing says where the body ends. length is -1 for chunks; known is false
// where nothing was said. same allows a Content-Length to be repeated.
func (s *said) framing(minor int, same bool) (length int64, known bool, err error) {
	switch {
	case s.codings > 0 && s.lengths > 0:
		return 0, false, malformed("it has both Content-Length and Transfer-Encoding")
	case s.codings > 0 && minor == 0:
		return 0, false, malformed("HTTP/1.0 has no Transfer-Encoding")
	case s.codings > 1, s.codings == 1 && !strings.EqualFold(s.coding, "chunked"):
		return 0, false, &MalformedError{http.StatusNotImplemented, "a Transfer-Encoding other than chunked"}
	case s.codings == 1:
		return -1, true, nil
	case s.lengths == 0:
		return 0, false, nil
	case s.lengths > 1 && (!same || s.lengthsDiffer):
		return 0, false, malformed("it has more than one Content-Length")
	}
	length, ok := parseLength(s.length)
	if !ok {
		return 0, false, malformed("its Content-Length is no number")
	}
	return length, true, nil
}

// closes says whether the connection ends with the message.
func (s *said) closes(minor int) bool {
	if minor == 0 {
		return !s.connection || !s.keep || s.close
	}
	return s.close
}

// parseLength takes digits alone.
func parseLength(text string) (int64, bool) {
	if text == "" || len(text) > 18 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// announced takes the Trailer fields out: the names, without values. What would
// change the framing cannot come behind the body.
func (s *said) announced(f *Fields, chunked bool) ([]string, error) {
	if !s.trailers {
		return nil, nil
	}
	var names []string
	for list := range f.All("Trailer") {
		for name := range strings.SplitSeq(list, ",") {
			if name = trim(name); name == "" || !chunked {
				continue
			}
			name, ok := canonical(name)
			switch {
			case !ok:
				return nil, malformed("a trailer's name")
			case isFraming(name):
				return nil, malformed("a trailer that would say where the message ends")
			case slices.Contains(names, name):
			case len(names) == maxTrailerLines: // more than could come
				return nil, ErrTooLarge
			default:
				names = append(names, name)
			}
		}
	}
	f.DelFunc(func(name string) bool { return name == "Trailer" })
	return names, nil
}

func isFraming(name string) bool {
	switch name {
	case "Transfer-Encoding", "Trailer", "Content-Length", "Host":
		return true
	}
	return false
}
