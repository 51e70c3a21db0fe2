package config

import (
	"strings"
	"testing"
)

const digested = `version: "2"
services:
  db:
    connector: pg
    listenOn: tcp://localhost:5432
    credentials: {host: db, password: {from: v, get: x}}
    config: {enforce: [a, b], deep: {x: true, y: 1}}
providers:
  v: {type: vault, address: a, auth: {method: token}}
`

func digests(t *testing.T, text string) string {
	f := parse(t, text)
	return f.Services[0].Digest() + f.Providers[0].Digest()
}

func TestDigestIgnoresNotation(t *testing.T) {
	same := `# a comment
version: v2
providers:
  v:
    auth: {"method": 'token'}
    address: "a"
    timeout: 5s
    type: vault
services:
  db: # behind
    config:
      deep: {y: 1, x: True}
      enforce:
        - a
        - b
    credentials:
      password: {get: x, from: v}
      host: {from: literal, get: db}
    drain: 30000ms
    limits: {connections: 10000}
    protocol: pg
    listenOn: [tcp://localhost:5432]
`
	if digests(t, digested) != digests(t, same) {
		t.Error("differs")
	}
}

func TestDigestSeesEveryChange(t *testing.T) {
	seen := map[string]string{digests(t, digested): "the original"}
	for _, change := range []string{
		"db:\n    conn=db2:\n    conn", "connector: pg=connector: mysql", "5432=5433", "host: db=host: db2", "get: x=get: y", "from: v=from: env",
		"[a, b]=[b, a]", "x: true=x: false", "y: 1=y: '1'", "config:=drain: 1s\n    config:", "config:=allow: {users: a}\n    config:",
		"config:=limits: {idleTimeout: 1s}\n    config:", "config:=tls: {cert: /c, key: /k}\n    config:", "type: vault=type: conjur",
		"address: a=address: b", "vault,=vault, cache: 1s,", "vault,=vault, staleIfError: 1s,", "{host: db,={host: db, port: 5,",
	} {
		from, to, _ := strings.Cut(change, "=")
		text := strings.Replace(digested, from, to, 1)
		if text == digested {
			t.Fatalf("%s changes nothing", change)
		}
		d := digests(t, text)
		if other, ok := seen[d]; ok {
			t.Errorf("%q has the digest of %q", change, other)
		}
		seen[d] = change
	}
}

func TestLocate(t *testing.T) {
	f := parse(t, digested)
	for path, want := range map[string]Pos{
		"": {3, 3}, "connector": {4, 5}, "credentials password get": {6, 49}, "config deep y": {7, 47},
		"config nothing": {7, 5}, "limits idleTimeout": {3, 3},
	} {
		if got := f.Services[0].Locate(strings.Fields(path)...); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
	if got := f.Providers[0].Locate("auth", "method"); got != (Pos{9, 39}) {
		t.Errorf("provider: %v", got)
	}
	if got := (Provider{}).Locate("x"); got != (Pos{}) {
		t.Errorf("zero: %v", got)
	}
}
