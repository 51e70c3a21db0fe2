package config

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

func schemaUnderTest(t *testing.T) *jsonschema.Schema {
	t.Helper()
	var pg struct {
		Enforce []string `yaml:"enforce" doc:"Names that win over the client's."`
	}
	var vault struct {
		Address string  `yaml:"address" required:"true"`
		Token   setting `yaml:"token"`
		Secret  hidden  `yaml:"secret" doc:"A secret."`
	}
	anything := ConnectorSchema{OtherCredentials: "whatever the target needs"}
	text, err := Schema(SchemaInput{
		Connectors: map[string]ConnectorSchema{
			"pg": {Summary: "PostgreSQL", Config: pg, OtherCredentials: "a startup parameter", Credentials: []CredentialSchema{
				{Name: "host", Required: true}, {Name: "port", Default: "5432"}, {Name: "address", Deprecated: "write host and port"},
			}},
			"strict": {Credentials: []CredentialSchema{{Name: "key"}}}, "aws": anything, "generic_http": anything, "ssh": anything,
		},
		Providers: map[string]ProviderSchema{"vault": {Config: vault, Ref: "a path."}, "env": {Ref: "a variable"}, "exec": {NeedsInstance: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("secretless.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("secretless.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	v, err = jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

const pgHost = "credentials: {host: db}"

func TestSchemaAccepts(t *testing.T) {
	s := schemaUnderTest(t)
	for _, text := range []string{
		everything[:strings.Index(everything, "  plain:")] + "admin: {health: off}\n",
		service(listenHere, "credentials: {host: db, port: 5432, search_path: x}", "config:", "limits: {connections: 0, idleTimeout: 1h30m}", "drain:"),
		service(listenHere, pgHost) + "providers: {v: {type: vault, address: a, token: {from: env, get: X}, cache: 5s, secret: {from: env, get: X}}, e: {type: env}}\n",
		service(listenHere, pgHost) + "providers: {v: {type: vault, address: a, secret: 5}, w: {type: vault, address: a, secret: }}\n",
		service("listenOn: [unix:///a, systemd://b]", pgHost, "socket: {mode: 0660}"),
	} {
		if err := validate(t, s, text); err != nil {
			t.Errorf("%s\n%v", text, err)
		}
		if strings.Contains(text, "prod") {
			continue
		}
		parse(t, text)
	}
	data, err := os.ReadFile(filepath.Join("testdata", "v2", "http.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, s, string(data)); err != nil {
		t.Error(err)
	}
}

// Each of these lacks just what its text says; the schema sees it.
func TestSchemaRefuses(t *testing.T) {
	s := schemaUnderTest(t)
	good := service(listenHere, pgHost)
	for _, text := range []string{
		strings.Replace(good, "version: \"2\"\n", "", 1),
		strings.Replace(good, "\"2\"", "3", 1),
		"version: \"2\"\nservices: {}\n",
		service(pgHost),
		service(listenHere),
		service("listenOn: localhost:5432", pgHost),
		service("listenOn: []", pgHost),
		service(listenHere, pgHost, "zebra: 1"),
		service(listenHere, pgHost, "drain: 30"),
		service(listenHere, pgHost, "limits: {connections: -1}"),
		service(listenHere, pgHost, "limits: {conections: 1}"),
		service(listenHere, pgHost, "config: {enforced: [a]}"),
		service(listenHere, pgHost, "allow: {executables: psql}"),
		service(listenHere, pgHost, "tls: {cert: /c}"),
		service(listenHere, pgHost, "socket: {mode: rw}"),
		service(listenHere, "credentials: {host: [db]}"),
		service(listenHere, "credentials: {host: {from: env}}"),
		service(listenHere, "credentials: {host: {from: env, get: X, got: Y}}"),
		strings.Replace(good, "connector: pg", "connector: pgx", 1),
		strings.Replace(good, "connector: pg", "drain: 1s", 1),
		strings.Replace(good, "connector: pg", "connector: strict", 1),
		good + "providers: {v: {type: vault}}\n",
		good + "providers: {v: {type: vault, address: a, adress: b}}\n",
		good + "providers: {v: {type: valt}}\n",
		good + "providers: {v: {type: vault, address: a, secret: {from: env}}}\n",
		good + "audit: {to: /var/log/x}\n",
		good + "admin: {health: 5335}\n",
		good + "state: here\n",
	} {
		if err := validate(t, s, text); err == nil {
			t.Errorf("accepted:\n%s", text)
		}
	}
	if err := validate(t, s, good); err != nil {
		t.Errorf("refused:\n%s\n%v", good, err)
	}
}
