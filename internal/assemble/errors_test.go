package assemble_test

import (
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"secretless/internal/testenv"
)

// head is lines 1 to 5 of every file below; its service begins in line 3.
const head = `version: "2"
services:
  db:
    connector: strict
    listenOn: tcp://127.0.0.1:15432
`

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	cert := testenv.WriteFile(t, "tls.crt", testenv.CA(t).CAPEM)
	noCert := testenv.WriteFile(t, "tls.txt", "hello")
	missing := filepath.Join(dir, "missing")
	tests := map[string]struct {
		text string
		want []string
	}{
		"unknown connector": {
			`version: "2"
services:
  db:
    connector: strickt
    listenOn: tcp://127.0.0.1:15432
    credentials: { host: x }
`, []string{`4:16: unknown connector "strickt": did you mean "strict"?`},
		},
		"connector like no other": {
			`version: "2"
services:
  db:
    connector: q
    listenOn: tcp://127.0.0.1:15432
    credentials: { host: x }
`, []string{`4:16: unknown connector "q"; known are strict`},
		},
		"unknown credential": {
			head + "    credentials: { host: x, pasword: y }\n",
			[]string{`6:29: unknown credential "pasword" for connector strict; did you mean "password"?`},
		},
		"misspelt credential that is needed": {
			head + "    credentials: { hots: x }\n",
			[]string{`6:20: unknown credential "hots" for connector strict; did you mean "host"?`},
		},
		"another program's name of a credential": {
			head + "    credentials: { Server: x, passwd: y, colour: red }\n",
			[]string{
				`6:20: unknown credential "Server" for connector strict; did you mean "host"?`,
				`6:31: unknown credential "passwd" for connector strict; did you mean "password"?`,
				`6:42: unknown credential "colour" for connector strict; known are address, host, password, port`,
			},
		},
		"credentials that are no map": {
			head + "    credentials: [ { name: host, provider: literal, id: x } ]\n",
			[]string{`6:18: credentials must be a map from names to values, not a list`},
		},
		"allow on every interface": {
			"version: \"2\"\nservices:\n  db:\n    connector: strict\n    listenOn: tcp://0.0.0.0:15432\n    credentials: { host: x }\n    allow: { users: 0 }\n",
			[]string{`5:15: allow of service "db" cannot hold for "tcp://0.0.0.0:15432": processes on other machines are not known; listen on tcp://localhost:15432 or a unix socket`},
		},
		"allow of nobody": {
			head + "    credentials: { host: x }\n    allow: {}\n",
			[]string{`7:5: allow: lists nobody; list users, groups or executables, or leave allow out to let in everyone who reaches the address`},
		},
		"allow of no users": {
			head + "    credentials: { host: x }\n    allow: { users: [] }\n",
			[]string{`7:5: allow: lists nobody; list users, groups or executables, or leave allow out to let in everyone who reaches the address`},
		},
		"missing credential": {
			head + "    credentials: { port: 1 }\n",
			[]string{`6:5: service "db": connector strict needs the credential "host" (where to go)`},
		},
		"bad literal": {
			head + "    credentials: { host: x, port: http }\n",
			[]string{`6:35: service "db": credential "port": port is no number`},
		},
		"unknown provider": {
			head + "    credentials: { host: { from: fakee, get: x } }\n",
			[]string{`6:34: unknown provider "fakee": did you mean "fake"?`},
		},
		"provider without settings": {
			head + "    credentials: { host: { from: vault, get: x } }\n",
			[]string{`6:34: provider "vault" needs settings: add an entry of this type under providers`},
		},
		"unknown provider type": {
			head + "    credentials: { host: { from: mine, get: x } }\nproviders:\n  mine: { type: volt }\n",
			[]string{`8:17: unknown provider type "volt"; known are fake, vault`},
		},
		"provider that cannot be built": {
			head + "    credentials: { host: { from: mine, get: x }, password: { from: mine, get: y } }\nproviders:\n  mine: { type: vault, url: bad }\n",
			[]string{`8:3: url is bad`},
		},
		"secret setting of an unknown provider": {
			head + "    credentials: { host: { from: mine, get: x } }\nproviders:\n  mine: { type: vault, token: { from: fakee, get: y } }\n",
			[]string{`8:39: unknown provider "fakee": did you mean "fake"?`},
		},
		"secret setting of an unknown form": {
			head + "    credentials: { host: x }\nproviders:\n  mine: { type: vault, token: { from: fake, get: wrong } }\n  more: { type: vault, more: [ { from: fake, get: \"\" }, { frm: fake, get: x } ] }\n",
			[]string{
				`8:50: no such form of id`,
				`9:51: get is empty: write what provider "fake" looks up (any name)`,
			},
		},
		"secret setting with unknown keys": {
			head + "    credentials: { host: x }\nproviders:\n  mine: { type: vault, token: { frm: fake, get: sesame-8731 }, more: [ [sesame-8731] ] }\n",
			[]string{
				`8:33: unknown key "frm"; did you mean "from"?`,
				`8:72: credential "more[0]" must be a value or a map of from and get, not a list`,
			},
		},
		"credentials that contain themselves": {
			head + "    credentials: &c { host: *c, address: { from: fake, get: *c }, password: { from: *c, get: x } }\n",
			[]string{`6:29: alias *c is inside the anchor that it names`, `6:61: alias *c is inside the anchor that it names`, `6:85: alias *c is inside the anchor that it names`},
		},
		"credentials that merge themselves": {
			head + "    credentials: &c { <<: *c }\n", []string{`6:27: alias *c is inside the anchor that it names`},
		},
		"providers in a circle": {
			head + "    credentials: { host: { from: a, get: x } }\nproviders:\n" +
				"  a: { type: vault, token: { from: b, get: x } }\n  b: { type: vault, more: [ lit, { from: c, get: x } ] }\n" +
				"  c: { type: vault, token: { from: b, get: x } }\n  self: { type: vault, token: { from: self, get: x } }\n",
			[]string{
				`10:36: providers need each other in a circle: b → c → b`,
				`11:39: providers need each other in a circle: self → self`,
			},
		},
		"built-in names of other types": {
			head + "    credentials: { host: x }\nproviders:\n  fake: { type: vault }\n  literal: { type: vault }\n  vault: { type: vault }\n",
			[]string{
				`8:3: "fake" is a built-in provider, and an entry of that name replaces its settings: its type must be fake too, or its name another`,
				`9:3: "literal" is a built-in provider, and an entry of that name replaces its settings: it has none; choose another name`,
			},
		},
		"unknown setting of a provider": {
			head + "    credentials: { host: x }\nproviders:\n  mine: { type: vault, urll: x }\n",
			[]string{`8:24: unknown key "urll"; did you mean "url"?`},
		},
		"id that the provider refuses": {
			head + "    credentials: { host: { from: fake, get: wrong } }\n",
			[]string{`6:45: no such form of id`},
		},
		"empty id": {
			head + "    credentials: { host: { from: fake, get: \"\" } }\n",
			[]string{`6:45: get is empty: write what provider "fake" looks up (any name)`},
		},
		"connector's own": {
			head + "    credentials: { host: x }\n    config: { fail: hard }\n",
			[]string{`4:16: and another thing`, `7:15: fail: hard`},
		},
		"unknown key of the connector": {
			head + "    credentials: { host: x }\n    config: { fale: hard }\n",
			[]string{`7:15: unknown key "fale"; known are fail`},
		},
		"socket without a unix address": {
			head + "    credentials: { host: x }\n    socket: { mode: \"0600\" }\n",
			[]string{`7:5: socket is about unix sockets, and this service listens on none; remove it or listen on unix:///path`},
		},
		"owner of a socket": {
			"version: \"2\"\nservices:\n  db:\n    connector: strict\n    listenOn: unix:///run/s\n    credentials: { host: x }\n    socket: { owner: nobody-of-this-name, group: no-group-of-this-name }\n",
			[]string{
				`7:15: service "db": socket: no user "nobody-of-this-name" on this machine`,
				`7:43: service "db": socket: no group "no-group-of-this-name" on this machine`,
			},
		},
		"TLS files": {
			head + "    credentials: { host: x }\n    tls: { cert: " + missing + ", key: { from: fake, get: k }, clientCA: " + noCert + " }\n",
			[]string{
				`service "db": tls.cert: stat ` + missing + `: no such file or directory`,
				`service "db": tls.clientCA: ` + noCert + ` holds no PEM certificate`,
			},
		},
		"TLS directory and key": {
			head + "    credentials: { host: x }\n    tls: { cert: " + dir + ", key: { from: nowhere, get: k } }\n",
			[]string{
				`service "db": tls.cert: ` + dir + ` is not a regular file of at most 1 MiB`,
				`unknown provider "nowhere"; known are fake, vault`,
			},
		},
		"nothing wrong": {
			head + "    credentials: { host: x, password: { from: fake, get: k } }\n    tls: { cert: " + cert + ", key: { from: fake, get: k } }\n", nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCensus()
			a := c.assembler(t)
			built, err := build(t, a, test.text)
			if len(test.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				built.Discard()
			} else {
				sameLines(t, err, test.want)
			}
			for _, what := range []string{"connector db", "provider fake", "provider mine"} {
				if n := c.alive(what); n != 0 {
					t.Errorf("%d of %s left", n, what)
				}
			}
		})
	}
}

// sameLines compares an error's lines with want, each of which begins with its
// place unless it is about a path of unknown length.
func sameLines(t *testing.T, err error, want []string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	got := strings.Split(err.Error(), "\n")
	if len(got) != len(want) {
		t.Fatalf("got\n%v\nwant\n%s", err, strings.Join(want, "\n"))
	}
	for i, line := range got {
		if strings.HasPrefix(want[i], "service ") || strings.HasPrefix(want[i], "unknown provider \"nowhere") {
			_, line, _ = strings.Cut(line, ": ")
		} else {
			line = strings.TrimPrefix(line, "s.yml:")
		}
		if line != want[i] {
			t.Errorf("got  %s\nwant %s", line, want[i])
		}
	}
}

// A policy that could not be enforced is not accepted, wherever that is.
func TestAllow(t *testing.T) {
	c := newCensus()
	a := c.assembler(t)
	text := strings.Replace(head, "127.0.0.1", "0.0.0.0", 1) + "    credentials: { host: x }\n    allow: { users: [nobody-of-this-name] }\n"
	_, err := build(t, a, text)
	if err == nil || !strings.Contains(err.Error(), "allow of service \"db\" cannot hold") {
		t.Errorf("got %v", err)
	}
	if err == nil || !strings.Contains(err.Error(), "nobody-of-this-name") {
		t.Errorf("the unknown user is not reported: %v", err)
	}
	if runtime.GOOS == "linux" {
		built := mustBuild(t, a, head+"    credentials: { host: x }\n    allow: { users: [root], executables: [/bin/true] }\n")
		if built.Services[0].Allow == nil {
			t.Error("no policy")
		}
		built.Discard()
	}
}

func TestWarnings(t *testing.T) {
	const text = head + "    credentials:\n      address: x\n      password: sesame-8731\n" +
		"providers:\n  mine: { type: vault, token: sesame-8732, more: [ { from: literal, get: sesame-8733 } ] }\n" +
		"  safe: { type: vault, token: { from: mine, get: x }, more: [ \"\" ] }\n"
	const plain = ` stands here in plain text, and everybody on this machine may read the file (mode 0644): use a provider, or chmod o-rwx`
	for name, test := range map[string]struct {
		mode  uint32
		wants []string
	}{
		"private":  {0o640, []string{"address"}},
		"readable": {0o644, []string{"address", "password" + plain, "token" + plain, "more[0]" + plain}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCensus()
			a := c.assembler(t)
			file, err := a.Parse("s.yml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			a.WarnReadable(file, fs.FileMode(test.mode))
			built, err := a.Build(file)
			if err != nil {
				t.Fatal(err)
			}
			defer built.Discard()
			if len(built.Warnings) != len(test.wants) {
				t.Fatalf("got %v", built.Warnings)
			}
			for i, w := range built.Warnings {
				if line := []int{7, 8, 10, 10}[i]; !strings.Contains(w.Text, test.wants[i]) || strings.Contains(w.Text, "sesame") || w.Line != line {
					t.Errorf("got %v", w)
				}
			}
		})
	}
}
