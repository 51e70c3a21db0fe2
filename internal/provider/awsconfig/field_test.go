package awsconfig

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestField(t *testing.T) {
	const document = ` {"user":"app","port":5432,"big":12345678901234567890.10,"on":true,"list":[1, "a"],"o":{"p":{"q":"deep"},"p.q":"dotted"},
		"none":null,"":{"":"empty"},"ü":"ö\u00e4\n","half":"\ud800x","real":"\ufffd","raw":"` + "\ufffd" + `","dup":1,"dup":2,"a.b":{"c":"x"},"a":{"b":{"c":"y"}}}`
	for path, want := range map[string]string{
		"user": "app", "port": "5432", "big": "12345678901234567890.10", "on": "true", "list": `[1, "a"]`, "o.p": `{"q":"deep"}`,
		"o.p.q": "dotted", "ü": "öä\n", "real": "\ufffd", "raw": "\ufffd", "dup": "2", "a.b.c": "x", ".": "empty",
	} {
		v, err := Field([]byte(document), path)
		if err != nil || string(v.Bytes()) != want {
			t.Errorf("%s: got %q, %v; want %q", path, v.Bytes(), err, want)
		}
	}
	for path, want := range map[string]string{
		"User":     `the secret has no field "User"; it has "", "a", "a.b", "big", "dup", "half", "list", "none", "o", "on" and 5 more`,
		"user.x":   `field "user" is no JSON object, so it has no field "x"`,
		"o.p.x":    `field "o.p" has no field "x"; it has "q"`,
		"none":     `field "none" is null`,
		"none.x":   `field "none" is no JSON object, so it has no field "x"`,
		"half":     `field "half" is no valid Unicode text, so it would be changed by reading it`,
		"list.0":   `field "list" is no JSON object, so it has no field "0"`,
		"a.b.c.d":  `field "a.b.c" is no JSON object, so it has no field "d"`,
		"missing.": `the secret has no field "missing."; it has "", "a", "a.b", "big", "dup", "half", "list", "none", "o", "on" and 5 more`,
	} {
		if v, err := Field([]byte(document), path); err == nil || err.Error() != want {
			t.Errorf("%s: got %q, %v; want %s", path, v.Bytes(), err, want)
		}
	}
	long := strings.Repeat("n", 100)
	if _, err := Field([]byte(`{"`+long+`":1}`), "a"); err == nil || err.Error() != `the secret has no field "a"; it has "`+long[:40]+`…"` {
		t.Errorf("got %v", err)
	}
	if _, err := Field([]byte(`{}`), "a"); err == nil || err.Error() != `the secret has no field "a"; it has no fields at all` {
		t.Errorf("got %v", err)
	}
	for _, other := range []string{"", "text", "[1]", `"x"`, "null", "{", `{"a":1} {}`, "{\"a\":\"\xff\"}", "\x00"} {
		if _, err := Field([]byte(other), "a"); err == nil || err.Error() != ErrNotJSON.Error() {
			t.Errorf("%q: %v", other, err)
		}
	}
}

func FuzzField(f *testing.F) {
	for _, seed := range []struct{ document, path string }{
		{`{"a":{"b":"c"}}`, "a.b"},
		{`{"a.b":1}`, "a.b"},
		{`{"a":"\ud800"}`, "a"},
		{`{"":{"":null}}`, "."},
		{`[]`, "a"},
	} {
		f.Add([]byte(seed.document), seed.path)
	}
	f.Fuzz(func(t *testing.T, document []byte, path string) {
		if CheckField(path) != nil {
			return
		}
		v, err := Field(document, path)
		if err != nil {
			return
		}
		if !json.Valid(document) {
			t.Fatalf("value %q of what is no JSON", v.Bytes())
		}
		if !utf8.Valid(v.Bytes()) {
			t.Fatalf("value %q is no text", v.Bytes())
		}
	})
}

func TestCheckField(t *testing.T) {
	for path, ok := range map[string]bool{"a": true, "a.b": true, ".": true, "": false, "\xff": false, strings.Repeat(".", maxDepth): false} {
		if err := CheckField(path); (err == nil) != ok {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestValidRegion(t *testing.T) {
	for region, ok := range map[string]bool{
		"eu-west-1": true, "us-gov-east-1": true, "cn-north-1": true, "local": true,
		"": false, "-a": false, "a-": false, "EU": false, "a.b": false, "a/b": false, strings.Repeat("a", 64): false,
	} {
		if ValidRegion(region) != ok {
			t.Errorf("%q: want %v", region, ok)
		}
	}
}

func TestCheckEndpoint(t *testing.T) {
	for endpoint, ok := range map[string]bool{
		"": true, "https://x.example": true, "http://127.0.0.1:4566": true, "https://x.example/base": true,
		"x.example": false, "ftp://x": false, "https://": false, "https://u:p@x": false, "https://x?y": false, "https://x#y": false, "https://x:y": false,
	} {
		err := CheckEndpoint(endpoint)
		if (err == nil) != ok || err != nil && endpoint != "" && strings.Contains(err.Error(), "u:p") {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}
