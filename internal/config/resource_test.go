package config

import (
	"strings"
	"testing"
)

const resourceSpec = `
  services:
    db:
      connector: pg
      listenOn: tcp://127.0.0.1:5432
      credentials: { host: db }
`

func parseText(text string) (*File, error) {
	return Parse("r.yml", []byte(text), Options{Resolve: anyName, LocalAddrs: noAddrs})
}

func TestResource(t *testing.T) {
	const head = "apiVersion: secretless.io/v2\nkind: Configuration\nmetadata: { name: orders }\n"
	for name, c := range map[string]struct{ text, want string }{
		"plain":         {head + "spec:" + resourceSpec, ""},
		"version":       {head + "spec:\n  version: 2" + resourceSpec, ""},
		"null version":  {head + "spec:\n  version:" + resourceSpec, ""},
		"status":        {head + "spec:" + resourceSpec + "status: { observedGeneration: 3 }\n", ""},
		"suffix":        {strings.Replace(head, "secretless.io", "secretless-blue.io", 1) + "spec:" + resourceSpec, ""},
		"old API":       {strings.Replace(head, "/v2", "/v1", 1) + "spec:" + resourceSpec, ""},
		"wrong version": {head + "spec:\n  version: 3" + resourceSpec, `r.yml:5:12: version must be "2"`},
		"other kind":    {"apiVersion: v1\nkind: Pod\n", `r.yml:2:7: kind must be Configuration, not "Pod": of Kubernetes' resources only that is a configuration`},
		"list":          {"apiVersion: v1\nkind: List\nitems: []\n", "r.yml:2:7: this is a list; a configuration is one resource, as kubectl get configuration NAME -o yaml prints it"},
		"other group":   {"apiVersion: example.com/v2\nkind: Configuration\n", `r.yml:1:13: apiVersion must be secretless.io/v2, not "example.com/v2"`},
		"no spec":       {head, "r.yml:2:1: the resource has no spec; that is where version, services and the rest belong"},
		"key":           {head + "specs: {}\nspec:" + resourceSpec, `r.yml:4:1: unknown key "specs"; did you mean "spec"?`},
		"format v1":     {head + "spec: { listeners: [], handlers: [] }\n", "r.yml:4:1: format v1 (listeners and handlers) is no longer read; rewrite the resource with: kubectl get configuration NAME -o yaml | secretless convert - | kubectl replace -f -"},
		"below":         {head + "spec:" + strings.Replace(resourceSpec, "connector", "conector", 1), `r.yml:7:7: unknown key "conector"; did you mean "connector"?`},
		"empty spec":    {head + "spec: {}\n", "r.yml:4:1: services is missing"},
	} {
		f, err := parseText(c.text)
		switch {
		case c.want == "" && (err != nil || len(f.Services) != 1):
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
		if f != nil && (name == "old API") != (len(f.Warnings) == 1) {
			t.Errorf("%s: warnings %v", name, f.Warnings)
		}
	}
}

// A resource as the API server stores it: places are paths, and text that YAML
// would not take as it stands comes through.
func TestPathsOfJSON(t *testing.T) {
	data, err := FromJSON([]byte(`{"apiVersion":"secretless.io/v2","kind":"Configuration","spec":{"services":{"db":{"connector":"pg",` +
		`"listenOn":["tcp://127.0.0.1:1","tcp:x"],"credentials":{"host":"a` + "\u007f\u2028\U000E0001" + `b"},"alow":{},"limits":{"a.b":1}},"q\"\n":7}}}`))
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse("configuration/x", data, Options{Resolve: anyName, LocalAddrs: noAddrs})
	list, ok := err.(Errors) //nolint:errorlint // what Parse returns
	if !ok {
		t.Fatalf("%v", err)
	}
	got := Errors(PathsOf(data).Name(list)).Error()
	for _, want := range []string{
		`configuration/x: spec.services.db.listenOn[1]: `, `configuration/x: spec.services.db.alow: unknown key "alow"; did you mean "allow"?`,
		`configuration/x: spec.services.db.limits["a.b"]: unknown key`, `configuration/x: spec.services["q\"\n"]: `,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
	if host := f.Services[0].Credentials[0].Literal; string(host.Bytes()) != "a\u007f\u2028\U000E0001b" {
		t.Errorf("%q", host.Bytes())
	}
	if _, err := FromJSON([]byte("{")); err == nil {
		t.Error("half a value is JSON")
	}
}

func TestConvertResource(t *testing.T) {
	const old = `# ours
apiVersion: secretless-x.io/v1
kind: Configuration
metadata:
  name: first
  namespace: shop
  uid: 1-2
  resourceVersion: "7"
  labels: { app: shop }
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: "{}"
    note: "yes"
spec:
  listeners:
    - { name: l, protocol: pg, address: "127.0.0.1:5432" }
  handlers:
    - name: h
      listener: l
      credentials:
        - { name: password, provider: env, id: PW }
status: { x: 1 }
`
	const want = `# ours
apiVersion: secretless-x.io/v2
kind: Configuration
metadata:
  name: first
  namespace: shop
  labels:
    app: shop
  annotations:
    note: "yes"
spec:
  version: "2"
  services:
    h:
      connector: pg
      listenOn: tcp://127.0.0.1:5432
      credentials:
        password:
          from: env
          get: PW
`
	got, notes, err := Convert("old.yml", []byte(old))
	if err != nil || string(got) != want {
		t.Errorf("%v %v\n%s", notes, err, got)
	}
	again, _, err := Convert("old.yml", []byte(strings.NewReplacer("/v2", "/v1").Replace(want)))
	if err != nil || string(again) != want {
		t.Errorf("the spec of today under the old version: %v\n%s", err, again)
	}
	for text, message := range map[string]string{
		want:                          "this is a resource of secretless-x.io/v2 with the format of today; there is nothing to convert",
		"apiVersion: v1\nkind: Pod\n": `kind must be Configuration, not "Pod"`,
		"apiVersion: secretless.io/v1\nkind: Configuration": "the resource has no spec",
	} {
		if _, _, err := Convert("x", []byte(text)); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("got %v, want %s", err, message)
		}
	}
}
