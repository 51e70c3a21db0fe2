package http1wire

import (
	"iter"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// Field is one line of a head or a trailer.
type Field struct {
	Name  string // in canonical spelling: Content-Type
	Value string
}

// Fields are the lines of a head or a trailer in the order in which they came,
// and go out again. A list is short, so that looking through it costs less than
// a map; and it can be used again for the next message, see Reset.
//
// Names that are looked for are written in canonical spelling. What replaces or
// removes compares them folded (see SameName), so that no twin of a field is
// left behind.
type Fields []Field

// Get returns the value of the first field of that name, empty for none.
func (f Fields) Get(name string) string {
	value, _ := f.Lookup(name)
	return value
}

// Lookup is Get, and says whether there is such a field.
func (f Fields) Lookup(name string) (value string, ok bool) {
	for i := range f {
		if f[i].Name == name {
			return f[i].Value, true
		}
	}
	return "", false
}

// All goes through the values of the fields of that name.
func (f Fields) All(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range f {
			if f[i].Name == name && !yield(f[i].Value) {
				return
			}
		}
	}
}

// Values are the values of the fields of that name, in a slice of their own.
func (f Fields) Values(name string) []string { return slices.Collect(f.All(name)) }

// HasToken says whether a field of that name is a list with an element, in any
// case.
func (f Fields) HasToken(name, token string) bool {
	for list := range f.All(name) {
		if hasToken(list, token) {
			return true
		}
	}
	return false
}

// Add puts a field behind the others.
func (f *Fields) Add(name, value string) {
	*f = append(*f, Field{textproto.CanonicalMIMEHeaderKey(name), value})
}

// Set makes this the only field of its name, however that is spelled. It stands
// where the first of them stood, or behind the others.
func (f *Fields) Set(name, value string) {
	i := slices.IndexFunc(*f, func(have Field) bool { return SameName(have.Name, name) })
	if i < 0 {
		f.Add(name, value)
		return
	}
	rest := (*f)[i+1:]
	rest.Del(name)
	*f = (*f)[:i+1+len(rest)]
	(*f)[i] = Field{textproto.CanonicalMIMEHeaderKey(name), value}
}

// Del removes the fields of that name, however it is spelled.
func (f *Fields) Del(name string) {
	f.DelFunc(func(have string) bool { return SameName(have, name) })
}

// DelFunc removes the fields whose name is one to be removed.
func (f *Fields) DelFunc(remove func(name string) bool) {
	*f = slices.DeleteFunc(*f, func(have Field) bool { return remove(have.Name) })
}

// Reset removes all fields and keeps the room for others. Nothing of them can
// be reached through it any more.
func (f *Fields) Reset() {
	clear((*f)[:cap(*f)])
	*f = (*f)[:0]
}

// Header is the fields for a library.
func (f Fields) Header() http.Header {
	h := make(http.Header, len(f))
	for _, field := range f {
		h[field.Name] = append(h[field.Name], field.Value)
	}
	return h
}

// AddHeader puts the fields of a library behind the others, sorted: it has not
// kept their order.
func (f *Fields) AddHeader(h map[string][]string) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			f.Add(name, value)
		}
	}
}

// SameName says whether a server could take two names for the same: also where
// only case differs, or - and _, which those do not tell apart that make
// variables of headers.
func SameName(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && foldByte(a[i]) != foldByte(b[i]) {
			return false
		}
	}
	return true
}

func foldByte(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case c == '_':
		return '-'
	}
	return c
}

// Dashed is a canonical name with - for _, in canonical spelling: what a server
// that does not tell them apart takes it for.
func Dashed(name string) string {
	if strings.IndexByte(name, '_') < 0 {
		return name
	}
	return textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
}
