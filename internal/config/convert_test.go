package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConvert(t *testing.T) {
	files, err := filepath.Glob("testdata/convert/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		v2, notes, err := Convert(filepath.Base(path), data)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, strings.TrimSuffix(path, ".yml")+".golden", string(v2)+"=== notes\n"+strings.Join(notes, "\n")+"\n")
		if _, err := Parse("v2.yml", v2, offline()); err != nil {
			t.Error(err)
		}
	}
}

// The literal that is converted is the literal that is parsed.
func TestConvertKeepsLiterals(t *testing.T) {
	data, err := os.ReadFile("testdata/convert/everything.yml")
	if err != nil {
		t.Fatal(err)
	}
	v2, _, err := Convert("v1.yml", data)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"shop/host": "db.internal", "shop/port": "5432", "shop/username": "yes", "git/password": "two\nlines\n", "git/username": "bot"}
	for _, s := range parse(t, string(v2)).Services {
		for _, c := range s.Credentials {
			if w, ok := want[s.Name+"/"+c.Name]; ok && string(c.Literal.Bytes()) != w {
				t.Errorf("%s/%s: %q", s.Name, c.Name, c.Literal.Bytes())
			}
		}
	}
}

func TestConvertErrors(t *testing.T) {
	for text, want := range map[string]string{
		service(listenHere):                "v1.yml: this is not format v1, which has listeners and handlers; there is nothing to convert",
		"listeners: []\n":                  "v1.yml:1:1: handlers is missing",
		"listeners: {a: b}\nhandlers: 5\n": "v1.yml:1:12: listeners must be a list, not a map\nv1.yml:2:11: handlers must be a list, not a number",
		v1("address: a:1", "listener: b"):  "v1.yml:2:5: listener \"a\" has no handler; remove it\nv1.yml:4:5: handler \"a\" names the listener \"b\", which does not exist",
		v1("address: a:1, socket: /b"):     "v1.yml:2:5: listener \"a\" has an address and a socket; keep one",
		v1("x: y"):                         "v1.yml:2:5: listener \"a\" needs an address or a socket",
		v1("address: a"):                   "v1.yml:2:5: listener \"a\": \"tcp://a\" lacks the port: write tcp://host:port",
		v1("address: a:1, protocol: http"): "v1.yml:2:43: key \"protocol\" is here twice; the first is in line 2",
		"listeners: [{name: a, address: a:1}]\nhandlers: [{name: h, listener: a}]\n":                                                                              "v1.yml:1:13: listener \"a\" needs a protocol, for instance pg",
		"listeners: [{name: a, address: a:1, protocol: http}]\nhandlers: [{name: h, listener: a}]\n":                                                              "v1.yml:2:12: handler \"h\" of an http listener needs a type: basic_auth, conjur, aws, generic_http",
		"listeners: [{name: a, address: a:1, protocol: pg}, {name: b, address: a:1, protocol: pg}]\nhandlers: [{name: h, listener: a}, {name: i, listener: b}]\n": "v1.yml: the converted file would have mistakes that come from this one:\nv1.yml (converted):8:15: service \"i\" listens on tcp://a:1, which service \"h\" (line 5) has as tcp://a:1; only HTTP connectors share an address, so pick another one",
	} {
		_, _, err := Convert("v1.yml", []byte(text))
		if err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// v1 is a small file around the keys of its listener and handler.
func v1(listener string, handler ...string) string {
	handler = append(handler, "listener: a")
	return "listeners:\n  - {name: a, protocol: pg, " + listener + "}\nhandlers:\n  - {name: a, " + handler[0] + "}\n"
}
