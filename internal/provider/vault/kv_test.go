package vault_test

import (
	"testing"
	"unicode/utf8"

	"secretless/internal/provider"
	"secretless/internal/provider/providertest"
	"secretless/internal/testenv"
)

func TestConformance(t *testing.T) {
	v := testenv.Vault(t)
	for name, engine := range map[string]struct {
		version     int
		path, field string // of the id, after the mount
		wrap        bool
	}{
		"KV 1":                         {1, "/app#", "", false},
		"KV 2":                         {2, "/app#", "", true},
		"KV 2 with the API's own path": {2, "/data/app#data.", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			providertest.Run(t, providertest.Config{
				// JSON holds text.
				Holds: utf8.Valid,
				New: func(t *testing.T, s provider.Setup, values map[string][]byte) providertest.Source {
					mount := v.KV(t, engine.version)
					fields, refs := map[string]any{}, map[string]string{}
					for name, value := range values {
						fields[name], refs[name] = string(value), mount+engine.path+name
					}
					path := mount + "/app"
					if engine.wrap {
						path, fields = mount+"/data/app", map[string]any{"data": fields}
					}
					v.Write(t, path, fields)
					p, err := build(s, withToken(t, v, "root"))
					if err != nil {
						t.Fatal(err)
					}
					return providertest.Source{Provider: p, Refs: refs, Missing: mount + engine.path + "nothing"}
				},
			})
		})
	}
}

func TestFields(t *testing.T) {
	v := testenv.Vault(t)
	one, two := v.KV(t, 1), v.KV(t, 2)
	fields := map[string]any{
		"value": "the default", "password": "päss\n\"\\\u2028😀", "port": 5432, "ratio": 1.50, "tls": true, "nothing": nil, "empty": "",
		"db":    map[string]any{"user": "app", "inner": map[string]any{"deep": "down"}},
		"a.b":   "dotted",
		"chain": []string{"first", "second"},
		"mixed": []any{1, "x"},
		"data":  map[string]any{"x": "nested data"},
	}
	v.Write(t, one+"/app", fields)
	v.Write(t, two+"/data/app", map[string]any{"data": fields})
	s := open(t, withToken(t, v, "root"))
	for field, want := range map[string]string{
		"":               "the default",
		"#value":         "the default",
		"#password":      "päss\n\"\\\u2028😀",
		"#port":          "5432",
		"#ratio":         "1.5",
		"#tls":           "true",
		"#empty":         "",
		"#db.user":       "app",
		"#db.inner.deep": "down",
		"#db.inner":      `{"deep":"down"}`,
		"#a.b":           "dotted",
		"#chain":         "first\nsecond",
		"#mixed":         `[1,"x"]`,
		"#data.x":        "nested data",
	} {
		s.want(one+"/app"+field, want)
		s.want(two+"/app"+field, want)
		s.want("/"+two+"/app/"+field, want)
	}
	s.want(two+"/data/app", "the default")
	s.want(two+"/data/app#data.db.user", "app")
	s.want(two+"/data/app#metadata.version", "1")
	for field, want := range map[string]string{
		"#passwort":   `the secret has no field "passwort"; it has "a.b", "chain", "data", "db", "empty", "mixed", "nothing", "password", "port"`,
		"#db.pass":    `in "db": the secret has no field "pass"; it has "inner", "user"`,
		"#port.x":     `field "port" is a single value`,
		"#nothing":    `field "nothing" is null`,
		"#db.inner.x": `in "inner"`,
	} {
		s.wantError(one+"/app"+field, false, "provider under-test: "+one+"/app"+field+": ", want)
		s.wantError(two+"/app"+field, false, want)
	}
}

// An id with one of the API's own folders is read as it is written, as ever; a
// secret of such a name has the folder data before it.
func TestFoldersOfTheAPI(t *testing.T) {
	v := testenv.Vault(t)
	mount := v.KV(t, 2)
	v.Write(t, mount+"/data/app", map[string]any{"data": map[string]any{"value": "x"}})
	v.Write(t, mount+"/metadata/app", map[string]any{"custom_metadata": map[string]any{"owner": "orders"}})
	for _, path := range []string{"data", "metadata", "metadata/app", "delete/app"} {
		v.Write(t, mount+"/data/"+path, map[string]any{"data": map[string]any{"value": "at " + path}})
	}
	s := open(t, withToken(t, v, "root"))
	for id, want := range map[string]string{
		"/metadata/app#custom_metadata.owner": "orders",
		"/metadata/app#current_version":       "1",
		"/subkeys/app#metadata.version":       "1",
		"/data/metadata/app":                  "at metadata/app",
		"/data/metadata/app#data.value":       "at metadata/app",
		"/data":                               "at data",
		"/metadata":                           "at metadata",
		"/delete/app":                         "at delete/app",
	} {
		s.want(mount+id, want)
	}
	s.wantError(mount+"/metadata/app", false, `has no field "value"`)
	s.wantError(mount+"/metadata/none", false, "404")
}

func TestVersions(t *testing.T) {
	v := testenv.Vault(t)
	one, two := v.KV(t, 1), v.KV(t, 2)
	v.Write(t, one+"/app", map[string]any{"value": "x"})
	for _, value := range []string{"first", "second", "third"} {
		v.Write(t, two+"/data/app", map[string]any{"data": map[string]any{"value": value}})
	}
	s := open(t, withToken(t, v, "root"))
	s.want(two+"/app", "third")
	s.want(two+"/app?version=1", "first")
	s.want(two+"/data/app?version=2#data.value", "second")
	s.wantError(two+"/app?version=9", false, "no secret at this path (404)")
	s.wantError(one+"/app?version=1", false, "is for the KV engine's version 2")
	v.Write(t, two+"/delete/app", map[string]any{"versions": []int{2}})
	v.Write(t, two+"/destroy/app", map[string]any{"versions": []int{1}})
	s.wantError(two+"/app?version=2", false, "this version of the secret was deleted or destroyed")
	s.wantError(two+"/app?version=1", false, "this version of the secret was deleted or destroyed")
	s.want(two+"/app", "third")

	both, err := s.fetch(two+"/app", two+"/app?version=3", one+"/app")
	if err != nil || len(both) != 3 || both[two+"/app"] != "third" {
		t.Errorf("got %v, %v", both, err)
	}
}

// The policy that the documentation recommends is enough, for KV by either
// path and without the default policy.
func TestLeastRights(t *testing.T) {
	v := testenv.Vault(t)
	one, two := v.KV(t, 1), v.KV(t, 2)
	v.Write(t, one+"/app", map[string]any{"value": "x"})
	v.Write(t, two+"/data/app", map[string]any{"data": map[string]any{"value": "y"}})
	v.Write(t, two+"/data/other", map[string]any{"data": map[string]any{"value": "z"}})
	policy := v.Policy(t, "read "+one+"/app", "read "+two+"/data/app")
	token := v.Token(t, map[string]any{"policies": []string{policy}, "no_default_policy": true, "ttl": "1h"})
	s := open(t, tokenConfig(v.Address(), token))
	s.want(one+"/app", "x")
	s.want(two+"/app", "y")
	s.want(two+"/data/app#data.value", "y")
	s.wantError(two+"/other", false, "permission denied (403): the token's policies do not allow this path")
	s.wantError("nowhere/app", false, "permission denied (403)")
	s.want(two+"/app", "y")
}

// An engine that is replaced by its other version is noticed.
func TestUpgradedEngine(t *testing.T) {
	v := testenv.Vault(t)
	mount := v.KV(t, 1)
	v.Write(t, mount+"/app", map[string]any{"value": "x"})
	s := open(t, withToken(t, v, "root"))
	s.want(mount+"/app", "x")
	v.Delete(t, "sys/mounts/"+mount)
	v.Write(t, "sys/mounts/"+mount, map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	s.eventually("the engine's upgrade", func() bool {
		_, err := v.Call("PUT", mount+"/data/app", v.Root, map[string]any{"data": map[string]any{"value": "y"}})
		return err == nil
	})
	s.wantError(mount+"/app", false, "404")
	s.want(mount+"/app", "y")
}
