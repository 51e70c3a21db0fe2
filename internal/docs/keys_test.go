package docs

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"secretless/internal/assemble"
	"secretless/internal/config"
)

// schema is the part of a JSON Schema that these tests read.
type schema struct {
	Properties           map[string]json.RawMessage
	AdditionalProperties json.RawMessage
	AllOf                []struct {
		If struct {
			Properties map[string]struct{ Const string }
		}
		Then schema
	}
	AnyOf []schema
}

// sub is the schema of one property; properties can be mere "true".
func (s schema) sub(t *testing.T, name string) schema {
	t.Helper()
	return decode(t, s.Properties[name])
}

func decode(t *testing.T, raw json.RawMessage) schema {
	t.Helper()
	var s schema
	if len(raw) > 0 && raw[0] == '{' {
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func fileSchema(t *testing.T) schema {
	t.Helper()
	text, err := config.Schema(assemble.SchemaInput(assemble.Connectors(), assemble.Providers()))
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, text)
}

// keys are the names of everything in s, at every depth.
func (s schema) keys(t *testing.T) []string {
	t.Helper()
	all := map[string]bool{}
	s.gather(t, all)
	return slices.Sorted(maps.Keys(all))
}

func (s schema) gather(t *testing.T, all map[string]bool) {
	t.Helper()
	for name, raw := range s.Properties {
		all[name] = true
		decode(t, raw).gather(t, all)
	}
	for _, alternative := range s.AnyOf {
		alternative.gather(t, all)
	}
	if more := decode(t, s.AdditionalProperties); len(s.AdditionalProperties) > 0 {
		more.gather(t, all)
	}
}

// documented are the words of a page that stand in code, blocks included.
func documented(t *testing.T, names ...string) map[string]bool {
	t.Helper()
	words := map[string]bool{}
	for _, p := range pages(t) {
		if !slices.Contains(names, p.path) {
			continue
		}
		for _, l := range p.lines {
			for _, span := range codeSpan.FindAllString(l.text, -1) {
				for _, word := range strings.FieldsFunc(span, func(r rune) bool { return strings.ContainsRune("`:,.[]{}() ", r) }) {
					words[word] = true
				}
			}
		}
	}
	if len(words) == 0 {
		t.Errorf("no page among %q says anything", names)
	}
	return words
}

var httpConnectors = []string{"aws", "basic_auth", "conjur", "gcp", "generic_http", "oauth2"}

// TestConnectorPages looks on each connector's page for each of its credentials
// and settings.
func TestConnectorPages(t *testing.T) {
	service := decode(t, fileSchema(t).sub(t, "services").AdditionalProperties)
	seen := 0
	for _, c := range service.AllOf {
		id := c.If.Properties["connector"].Const
		if id == "" {
			continue
		}
		seen++
		names := []string{"docs/connectors/" + id + ".md"}
		if slices.Contains(httpConnectors, id) {
			names = append(names, "docs/connectors/http.md")
		}
		words := documented(t, names...)
		for _, part := range []string{"credentials", "config"} {
			for _, key := range c.Then.sub(t, part).keys(t) {
				if !words[key] && !numbered(words, key) {
					t.Errorf("%s does not explain %s.%s, which the schema has", names[0], part, key)
				}
			}
		}
	}
	if want := len(assemble.Connectors()); seen != want {
		t.Errorf("the schema has %d connectors, the table %d", seen, want)
	}
}

// numbered is true for the second and further of things that a page explains
// once: privateKey2.
func numbered(words map[string]bool, key string) bool {
	last := len(key) - 1
	return last > 0 && key[last] >= '2' && key[last] <= '9' && words[key[:last]]
}

// TestProviderPages does the same for the settings of providers.
func TestProviderPages(t *testing.T) {
	instance := decode(t, fileSchema(t).sub(t, "providers").AdditionalProperties)
	common := documented(t, "docs/providers/README.md")
	seen := 0
	for _, p := range instance.AllOf {
		id := p.If.Properties["type"].Const
		if id == "" {
			continue
		}
		seen++
		words := documented(t, "docs/providers/"+id+".md")
		if strings.HasPrefix(id, "aws-") {
			maps.Copy(words, documented(t, "docs/providers/aws.md"))
		}
		for _, key := range p.Then.keys(t) {
			if !words[key] && !common[key] {
				t.Errorf("docs/providers/%s.md does not explain the setting %s, which the schema has", id, key)
			}
		}
	}
	if want := len(assemble.Providers()); seen != want {
		t.Errorf("the schema has %d providers, the table %d", seen, want)
	}
}

// TestConfigurationPage looks for every other key on the configuration page.
func TestConfigurationPage(t *testing.T) {
	file := fileSchema(t)
	words := documented(t, "docs/configuration.md")
	for _, key := range file.keys(t) {
		if !words[key] {
			t.Errorf("docs/configuration.md does not explain the key %s, which the schema has", key)
		}
	}
}
