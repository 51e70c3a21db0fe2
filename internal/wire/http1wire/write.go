package http1wire

import (
	"errors"
	"strconv"
)

// ErrUnwritable is a head with something in it that would end it or a line of
// it early.
var ErrUnwritable = errors.New("a header has a character that none may have")

// AppendFields writes f, except the fields that skip names.
func AppendFields(b []byte, f Fields, skip func(name string) bool) ([]byte, error) {
	for i := range f {
		if skip(f[i].Name) {
			continue
		}
		if !f[i].Writable() {
			return b, ErrUnwritable
		}
		b = AppendField(b, f[i].Name, f[i].Value)
	}
	return b, nil
}

// Writable says whether the field is one line.
func (f *Field) Writable() bool { return IsToken(f.Name) && IsValue(f.Value) }

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
