package exec

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON (RFC 8259) as far as an answer needs it. encoding/json
// would leave every value behind as a string, which nobody can wipe; here each
// one is decoded into a buffer of its own and nowhere else.
type scanner struct {
	text []byte
	at   int
}

func (s *scanner) problem(what string) error { return &AnswerError{Offset: s.at, Problem: what} }

// peek returns the next byte that is no space, zero at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) end() bool { return s.peek() == 0 && s.at == len(s.text) }

// take reads c.
func (s *scanner) take(c byte, what string) error {
	if s.peek() != c || s.at == len(s.text) {
		return s.problem(what + " is expected")
	}
	s.at++
	return nil
}

func (s *scanner) null() error {
	if !bytes.HasPrefix(s.text[s.at:], []byte("null")) {
		return s.problem("null is expected")
	}
	s.at += len("null")
	return nil
}

// object reads an object; member reads the value of each key.
func (s *scanner) object(member func(key string) error) error {
	if err := s.take('{', "an object in braces, as in {\"id\": \"value\"},"); err != nil {
		return err
	}
	if s.peek() == '}' {
		s.at++
		return nil
	}
	for {
		key, err := s.str()
		if err != nil {
			return err
		}
		if err := s.take(':', "a colon"); err != nil {
			return err
		}
		if err := member(string(key)); err != nil {
			return err
		}
		if s.peek() == '}' {
			s.at++
			return nil
		}
		if err := s.take(',', "a comma or a closing brace"); err != nil {
			return err
		}
	}
}

// str reads a string into a buffer of its own.
func (s *scanner) str() ([]byte, error) {
	if err := s.take('"', "a string in quotes"); err != nil {
		return nil, err
	}
	n := s.length()
	if n < 0 {
		return nil, s.problem("a string has no end")
	}
	out := make([]byte, 0, n) // what is decoded is never longer
	for end := s.at + n; s.at < end; {
		var err error
		if out, err = s.char(out); err != nil {
			clear(out)
			return nil, err
		}
	}
	s.at++
	return out, nil
}

// length is how many bytes are left to the closing quote, -1 if there is none.
func (s *scanner) length() int {
	for i := s.at; i < len(s.text); i++ {
		switch s.text[i] {
		case '"':
			return i - s.at
		case '\\':
			i++
		}
	}
	return -1
}

// char decodes one character of a string.
func (s *scanner) char(out []byte) ([]byte, error) {
	switch c := s.text[s.at]; {
	case c < ' ':
		return out, s.problem("a control character stands in a string without a backslash")
	case c == '\\':
		return s.escape(out)
	case c < utf8.RuneSelf:
		s.at++
		return append(out, c), nil
	}
	r, size := utf8.DecodeRune(s.text[s.at:])
	if r == utf8.RuneError && size == 1 {
		return out, s.problem(`a string is no valid UTF-8; write binary as {"base64": "…"}`)
	}
	s.at += size
	return utf8.AppendRune(out, r), nil
}

const (
	escapes = `"\/bfnrt`
	meaning = "\"\\/\b\f\n\r\t"
)

func (s *scanner) escape(out []byte) ([]byte, error) {
	c := s.text[s.at+1] // there is one: length skips both
	if i := bytes.IndexByte([]byte(escapes), c); i >= 0 {
		s.at += 2
		return append(out, meaning[i]), nil
	}
	r, ok := s.unit(s.at)
	size := 6
	if ok && utf16.IsSurrogate(r) {
		var low rune
		low, ok = s.unit(s.at + size)
		r = utf16.DecodeRune(r, low)
		ok = ok && r != utf8.RuneError
		size *= 2
	}
	if !ok {
		return out, s.problem("a string has a backslash before something that JSON does not know")
	}
	s.at += size
	return utf8.AppendRune(out, r), nil
}

// unit is the \uXXXX at i.
func (s *scanner) unit(i int) (rune, bool) {
	if i+6 > len(s.text) || s.text[i] != '\\' || s.text[i+1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s.text[i+2:i+6]), 16, 16)
	return rune(n), err == nil
}
