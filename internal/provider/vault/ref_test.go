package vault

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseRef(t *testing.T) {
	for id, want := range map[string]struct {
		key, field string
		writes     bool
	}{
		"secret/app":                           {"secret/app", "", false},
		"/secret/app/":                         {"secret/app", "", false},
		"secret/app#password":                  {"secret/app", "password", false},
		"secret/data/app#data.a.b":             {"secret/data/app", "data.a.b", false},
		"kv/app?version=3#k":                   {"kv/app?version=3", "k", false},
		"kv/app#a#b":                           {"kv/app", "a#b", false},
		"pki/issue/web?ttl=1h&common_name=a.b": {"pki/issue/web?common_name=a.b&ttl=1h", "", true},
		"aws/sts/x?role_arn=a%26b#access_key":  {"aws/sts/x?role_arn=a%26b", "access_key", true},
		"kv/my app":                            {"kv/my app", "", false},
	} {
		r, err := parseRef(id)
		if err != nil || r.key() != want.key || r.field != want.field || r.writes() != want.writes {
			t.Errorf("%s: got %q %q %v, %v; want %v", id, r.key(), r.field, r.writes(), err, want)
		}
	}
	for id, want := range map[string]string{
		"":                           "has no path",
		"/":                          "has no path",
		"#x":                         "has no path",
		"a/b#":                       "ends with #",
		"kv/app#k?version=3":         "parameters stand before it",
		"a//b":                       `segment ""`,
		"a/../sys/seal":              `segment ".."`,
		"./a":                        `segment "."`,
		"kv/app?version=1;2":         "not of the form",
		"kv/app?%zz":                 "not of the form",
		"kv/app?=1":                  "must have a name",
		"kv/app?version=1&version=2": "one value",
	} {
		if _, err := parseRef(id); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", id, err, want)
		}
	}
}

func FuzzParseRef(f *testing.F) {
	for _, seed := range []string{"a/b#c", "a?x=y&z=#q", "//#", "a/%2e%2e/b", "a#b?c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		r, err := parseRef(id)
		if err != nil {
			return
		}
		again, err := parseRef(r.key())
		if err != nil || again.key() != r.key() || again.writes() != r.writes() {
			t.Errorf("%q: key %q reads as %q, %v", id, r.key(), again.key(), err)
		}
		if strings.Contains("/"+r.path+"/", "/../") || strings.HasPrefix(r.path, "/") {
			t.Errorf("%q: path %q", id, r.path)
		}
	})
}

func FuzzUnquote(f *testing.F) {
	for _, seed := range []string{`"a"`, `"\u00e4\n\"\\\/\b\f\r\t"`, `"\ud83d\ude00"`, `"\ud83dx"`, `"\udc00\ud83d\ude00"`, `"\ud83d\ud83d\ude00"`, `"ä"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var want string
		if !utf8.Valid(raw) || len(raw) < 2 || raw[0] != '"' || json.Unmarshal(raw, &want) != nil {
			return
		}
		raw = bytes.TrimRight(raw, " \t\r\n")
		if got := unquote(raw); string(got) != want {
			t.Errorf("%s: got %q, want %q", raw, got, want)
		}
	})
}

// Whatever JSON a server sends, a field is found or is not, and an error
// quotes names alone.
func FuzzFindField(f *testing.F) {
	f.Add([]byte(`{"a":{"b":"c4nary"},"d":["c4nary",1],"e":null}`), "a.b")
	f.Add([]byte(` { "a" : [ "c4nary" , "c4nary" ] } `), "a")
	f.Add([]byte(`[1]`), "a")
	f.Add([]byte(`null`), "")
	f.Add([]byte(`{"a":"c4nary"}`), "a.b")
	f.Fuzz(func(t *testing.T, data []byte, field string) {
		v, err := findField(data, field)
		if err != nil && v.Len() > 0 {
			t.Error("a value beside an error")
		}
		if err != nil && len(err.Error()) > 4*len(field)+8*maxNames*maxName+1000 {
			t.Errorf("error of %d bytes", len(err.Error()))
		}
		v.Wipe()
	})
}

func TestManyNames(t *testing.T) {
	fields := map[string]string{}
	for n := range 50 {
		fields[strings.Repeat("x", 100+n)] = "c4nary"
	}
	data, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	_, err = findField(data, "a")
	if err == nil || !strings.Contains(err.Error(), "and 30 more") || len(err.Error()) > 3000 || strings.Contains(err.Error(), "c4nary") {
		t.Errorf("got %v", err)
	}
}
