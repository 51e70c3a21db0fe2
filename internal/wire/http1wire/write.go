package http1wire

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
)

// ErrUnwritable is a head with something in it that would end it or a line of
// it early.
var ErrUnwritable = errors.New("a header has a character that none may have")

// AppendFields writes the fields of h, in order, except those that skip names.
// names is space to sort in; it comes back to be used again.
func AppendFields(b []byte, h http.Header, names []string, skip func(name string) bool) ([]byte, []string, error) {
	names = names[:0]
	for name := range h {
		if !skip(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if !IsToken(name) {
			return b, names, ErrUnwritable
		}
		for _, value := range h[name] {
			if !IsValue(value) {
				return b, names, ErrUnwritable
			}
			b = AppendField(b, name, value)
		}
	}
	return b, names, nil
}

// AppendField writes one field that is known to be one.
func AppendField(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	return append(append(b, value...), "\r\n"...)
}

// AppendLength writes a Content-Length.
func AppendLength(b []byte, n int64) []byte {
	b = append(b, "Content-Length: "...)
	return append(strconv.AppendInt(b, n, 10), "\r\n"...)
}

// AppendChunk writes data as one chunk; of nothing it writes nothing, because
// an empty chunk is the last.
func AppendChunk(b, data []byte) []byte {
	if len(data) == 0 {
		return b
	}
	b = append(strconv.AppendInt(b, int64(len(data)), 16), "\r\n"...)
	return append(append(b, data...), "\r\n"...)
}
