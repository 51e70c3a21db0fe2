package http1wire_test

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"secretless/internal/wire/http1wire"
)

// list makes fields of lines, with their names as they are.
func list(lines ...string) (f http1wire.Fields) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		f = append(f, http1wire.Field{Name: name, Value: value})
	}
	return f
}

func TestFields(t *testing.T) {
	start := list("Accept: */*", "X-Key: 1", "X-Two: a, B", "X_key: 2", "X-Two: c")
	for name, c := range map[string]struct {
		change func(*http1wire.Fields)
		want   http1wire.Fields
	}{
		"add":          {func(f *http1wire.Fields) { f.Add("x-new", "3") }, append(slices.Clone(start), list("X-New: 3")...)},
		"set new":      {func(f *http1wire.Fields) { f.Set("x-new", "3") }, append(slices.Clone(start), list("X-New: 3")...)},
		"set in place": {func(f *http1wire.Fields) { f.Set("ACCEPT", "3") }, list("Accept: 3", "X-Key: 1", "X-Two: a, B", "X_key: 2", "X-Two: c")},
		"set twins":    {func(f *http1wire.Fields) { f.Set("x_KEY", "3") }, list("Accept: */*", "X_key: 3", "X-Two: a, B", "X-Two: c")},
		"set the last": {func(f *http1wire.Fields) { f.Set("X-Two", "3") }, list("Accept: */*", "X-Key: 1", "X-Two: 3", "X_key: 2")},
		"del twins":    {func(f *http1wire.Fields) { f.Del("x-key") }, list("Accept: */*", "X-Two: a, B", "X-Two: c")},
		"del all":      {func(f *http1wire.Fields) { f.DelFunc(func(string) bool { return true }) }, list()},
		"reset":        {(*http1wire.Fields).Reset, list()},
		"add a header": {
			func(f *http1wire.Fields) {
				f.Reset()
				f.AddHeader(http.Header{"B": {"2", "3"}, "A": {"1"}, "C": nil})
			},
			list("A: 1", "B: 2", "B: 3"),
		},
	} {
		f := slices.Clone(start)
		c.change(&f)
		if !slices.Equal(f, c.want) {
			t.Errorf("%s: %q, want %q", name, f, c.want)
		}
	}
	if v, ok := start.Lookup("X-Two"); v != "a, B" || !ok || start.Get("X-None") != "" || !slices.Equal(start.Values("X-Two"), []string{"a, B", "c"}) {
		t.Errorf("%q %v %q", v, ok, start.Values("X-Two"))
	}
	if !start.HasToken("X-Two", "b") || start.HasToken("X-Two", "a, B") || start.HasToken("Accept", "a") {
		t.Error("tokens")
	}
	if h := start.Header(); len(h) != 4 || !slices.Equal(h["X-Two"], []string{"a, B", "c"}) {
		t.Errorf("%v", h)
	}
}

// What was removed cannot be reached through the room that it had.
func TestFieldsLetGo(t *testing.T) {
	f := list("A: secret", "B: secret", "A: secret", "C: secret")
	room := f[:cap(f)]
	f.Set("A", "x")
	f.Del("C")
	f.Reset()
	for _, field := range room {
		if field != (http1wire.Field{}) {
			t.Errorf("%q is left", field)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"X-Key", "x_kEY", true},
		{"", "", true},
		{"X-Key", "X-Ke", false},
		{"X-Key", "X.Key", false},
		{"@", "`", false}, // one bit apart, as A and a are
		{"[", "{", false},
		{"K", "\u212a", false}, // the sign for Kelvin
	} {
		if http1wire.SameName(c.a, c.b) != c.same || http1wire.SameName(c.b, c.a) != c.same {
			t.Errorf("%q and %q", c.a, c.b)
		}
	}
	for name, want := range map[string]string{"X-Key": "X-Key", "Content_length": "Content-Length", "_x": "-X"} {
		if got := http1wire.Dashed(name); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}

// Every byte at every place of a word.
func TestIsValue(t *testing.T) {
	for c := range 256 {
		want := c >= ' ' && c != 0x7f || c == '\t'
		for at := range 19 {
			text := []byte(strings.Repeat("\u00ffx", 7)[:19])
			text[at] = byte(c)
			if got := http1wire.IsValue(string(text)); got != want {
				t.Errorf("%q: %v", text, got)
			}
		}
	}
}

// FuzzFields: the names of a list are those of textproto, and what is set or
// removed leaves no twin.
func FuzzFields(f *testing.F) {
	f.Add("GET / HTTP/1.1\r\nHost: x\r\nX-Key: 1\r\nx_key: 2\r\n\r\n", "X-Key")
	f.Fuzz(func(t *testing.T, text, name string) {
		r, _, err := read(text)
		if err != nil {
			return
		}
		for _, field := range r.Fields {
			if field.Name != textproto.CanonicalMIMEHeaderKey(field.Name) || !field.Writable() {
				t.Fatalf("%q", field)
			}
		}
		twins := func(fields http1wire.Fields) (n int) {
			folded := strings.ReplaceAll(strings.ToLower(name), "_", "-")
			for _, field := range fields {
				if strings.ReplaceAll(strings.ToLower(field.Name), "_", "-") == folded {
					n++
				}
			}
			return n
		}
		had, all := twins(r.Fields), len(r.Fields)
		r.Fields.Set(name, "x")
		if !http1wire.IsToken(name) {
			return
		}
		if n := twins(r.Fields); n != 1 || len(r.Fields) != all-had+1 {
			t.Fatalf("%q: %q", name, r.Fields)
		}
		if r.Fields.Del(name); twins(r.Fields) != 0 || len(r.Fields) != all-had {
			t.Fatalf("%q: %q", name, r.Fields)
		}
	})
}
