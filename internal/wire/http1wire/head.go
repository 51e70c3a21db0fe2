package http1wire

import (
	"bytes"
	"net/http"
	"strings"
)

// Limits bound a head.
type Limits struct {
	Bytes int // with its empty line
	Lines int // without the first and the last
}

// Head waits for a head and returns its length. It reads no more than is
// needed, calls waiting with what has come before each time that it does, and
// does not take the head out of in. A head that cannot become a right one is an
// error as soon as that shows.
func Head(in *Input, most Limits, waiting func(come []byte) error) (int, error) {
	seen := 0
	for {
		b := in.Bytes()
		if i := bytes.Index(b[max(seen-3, 0):], []byte("\r\n\r\n")); i >= 0 {
			end := max(seen-3, 0) + i + 4
			if end > most.Bytes {
				return 0, ErrTooLarge
			}
			return end, nil
		}
		if loneLineFeed(b, seen) {
			return 0, malformed("a line does not end in CR LF")
		}
		if seen = len(b); seen >= most.Bytes {
			return 0, ErrTooLarge
		}
		if err := waiting(b); err != nil {
			return 0, err
		}
		if err := in.Fill(most.Bytes); err != nil {
			return 0, err
		}
	}
}

// loneLineFeed says whether a line feed from seen on has no CR before it.
func loneLineFeed(b []byte, seen int) bool {
	for {
		i := bytes.IndexByte(b[seen:], '\n')
		if i < 0 {
			return false
		}
		if i += seen; i == 0 || b[i-1] != '\r' {
			return true
		}
		seen = i + 1
	}
}

// BeginsAnswer says whether b can be the beginning of an answer.
func BeginsAnswer(b []byte) error {
	const version = "HTTP/1."
	if n := min(len(b), len(version)); string(b[:n]) != version[:n] {
		return malformed("this is no answer of HTTP/1")
	}
	return nil
}

// Request is the head of a request.
type Request struct {
	Method string
	Target string
	Minor  int // of HTTP/1
	Host   string
	// Fields have neither Host nor what frames the body, except Content-Length.
	Fields Fields
	Length int64 // of the body, -1 for chunks
	// Announced are the names of the trailers that are to come.
	Announced []string
	// Close says that this is the connection's last request.
	Close bool
}

// Parse reads head, which ends with its empty line. The room of r.Fields is used
// again.
func (r *Request) Parse(head []byte, most Limits) error {
	r.Fields.Reset()
	line, rest, ok := strings.Cut(string(head[:len(head)-2]), "\r\n")
	if !ok {
		return malformed("a line does not end in CR LF")
	}
	if err := r.line(line); err != nil {
		return err
	}
	if err := r.Fields.lines(rest, most.Lines); err != nil {
		return err
	}
	var s said
	s.take(&r.Fields, true)
	if err := r.host(&s); err != nil {
		return err
	}
	var err error
	if r.Length, _, err = s.framing(r.Minor, false); err != nil {
		return err
	}
	r.Close = s.closes(r.Minor)
	r.Announced, err = s.announced(&r.Fields, r.Length < 0)
	return err
}

func (r *Request) line(line string) error {
	method, rest, ok := strings.Cut(line, " ")
	target, version, ok2 := strings.Cut(rest, " ")
	if !ok || !ok2 || !IsToken(method) || target == "" || !IsValue(target) || strings.IndexByte(target, '\t') >= 0 {
		return malformed("this is no request line of HTTP")
	}
	var known bool
	if r.Minor, known = minor(version); !known {
		if len(version) == 8 && strings.HasPrefix(version, "HTTP/") && version[6] == '.' {
			return &MalformedError{http.StatusHTTPVersionNotSupported, "a version of HTTP other than 1.0 and 1.1"}
		}
		return malformed("this is no request line of HTTP")
	}
	r.Method, r.Target = method, target
	return nil
}

func minor(version string) (int, bool) {
	switch version {
	case "HTTP/1.1":
		return 1, true
	case "HTTP/1.0":
		return 0, true
	}
	return 0, false
}

func (r *Request) host(s *said) error {
	switch {
	case s.hosts > 1:
		return malformed("it has more than one Host")
	case s.hosts == 0 && r.Minor == 1:
		return malformed("it has no Host")
	}
	if r.Host = s.host; strings.ContainsAny(r.Host, " \t,/") {
		return malformed("its Host is none")
	}
	return nil
}

// UntilClose is the length of an answer's body that ends with its connection.
const UntilClose = -2

// Response is the head of an answer.
type Response struct {
	Code   int
	Reason string
	Minor  int
	Fields Fields // without Transfer-Encoding and Trailer
	// Length is that of the body, -1 for chunks, or UntilClose.
	Length    int64
	Announced []string // as in Request
	Close     bool
}

// Parse reads head, which ends with its empty line and answers a request with
// method. The room of r.Fields is used again.
func (r *Response) Parse(head []byte, method string, most Limits) error {
	r.Fields.Reset()
	line, rest, ok := strings.Cut(string(head[:len(head)-2]), "\r\n")
	if !ok {
		return malformed("a line does not end in CR LF")
	}
	if err := r.line(line); err != nil {
		return err
	}
	if err := r.Fields.lines(rest, most.Lines); err != nil {
		return err
	}
	var s said
	s.take(&r.Fields, false)
	length, known, err := s.framing(r.Minor, true)
	if err != nil {
		return err
	}
	if !known {
		length = UntilClose
	}
	if r.Announced, err = s.announced(&r.Fields, length == -1); err != nil {
		return err
	}
	r.Close = s.closes(r.Minor)
	if bodyless(r.Code) || method == http.MethodHead {
		length = 0
	}
	r.Length = length
	return nil
}

func (r *Response) line(line string) error {
	const shortest = len("HTTP/1.1 200")
	if len(line) < shortest || line[8] != ' ' || len(line) > shortest && line[shortest] != ' ' || !IsValue(line) {
		return malformed("this is no answer of HTTP")
	}
	var known bool
	if r.Minor, known = minor(line[:8]); !known {
		return malformed("this is no answer of HTTP/1")
	}
	code := line[9:shortest]
	if code[0] < '1' || code[0] > '9' || !isDigit(code[1]) || !isDigit(code[2]) {
		return malformed("the answer has no status")
	}
	r.Code = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	r.Reason = trim(line[shortest:])
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// bodyless are the statuses whose answers have no body.
func bodyless(code int) bool {
	return code < 200 || code == http.StatusNoContent || code == http.StatusNotModified
}
