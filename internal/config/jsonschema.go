package config

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"secretless/internal/secret"
)

// SchemaInput is what the schema needs to know about the connectors and
// providers there are, by id.
type SchemaInput struct {
	Connectors map[string]ConnectorSchema
	Providers  map[string]ProviderSchema
}

// ConnectorSchema describes one connector.
type ConnectorSchema struct {
	Summary string
	// Config is a zero value of the type that its section decodes into.
	Config      any
	Credentials []CredentialSchema
	// OtherCredentials says what any other name means; empty allows none.
	OtherCredentials string
}

// CredentialSchema describes one credential of a connector.
type CredentialSchema struct {
	Name, Doc, Default string
	Required           bool
	Deprecated         string
}

// ProviderSchema describes one provider.
type ProviderSchema struct {
	Summary, Ref string
	// Config is a zero value of the type that its settings decode into.
	Config any
	// NeedsInstance is true where the bare id is no built-in provider.
	NeedsInstance bool
}

// object is a JSON object; encoding/json writes its keys in order, so that
// the schema is the same in every run.
type object = map[string]any

// Schema is the JSON Schema (draft 2020-12) of the file, indented.
func Schema(in SchemaInput) ([]byte, error) {
	g := &generator{in}
	root := g.structure(reflect.TypeFor[fileSpec]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "secretless.yml"
	root["$defs"] = object{"credential": g.credential()}
	text, err := json.MarshalIndent(root, "", "  ")
	return append(text, '\n'), err
}

// generator makes schemas of the types that the decoder fills.
type generator struct{ in SchemaInput }

// schemer is implemented by our own types whose notation is not that of their
// Go type.
type schemer interface {
	schema(g *generator) object
}

// durationPattern is what time.ParseDuration takes, without a sign.
const durationPattern = `^(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+$`

func (g *generator) value(f field) object {
	t := f.typ
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	zero := reflect.New(t).Interface()
	if s, ok := zero.(schemer); ok {
		return s.schema(g)
	}
	switch zero.(type) {
	case CredentialSetting:
		return object{"$ref": "#/$defs/credential"}
	case *time.Duration:
		return object{"type": "string", "pattern": durationPattern}
	case *secret.Value:
		return object{"type": scalarTypes(), "writeOnly": true}
	case ScalarUnmarshaler:
		if t.Kind() == reflect.Struct {
			return object{"anyOf": []any{object{"type": scalarTypes()}, g.structure(t)}}
		}
		return object{"type": scalarTypes()}
	case encoding.TextUnmarshaler:
		return object{"type": scalarTypes()}
	}
	return g.plain(t, f)
}

func scalarTypes() []string { return []string{"string", "number", "boolean"} }

func (g *generator) plain(t reflect.Type, f field) object {
	switch t.Kind() {
	case reflect.Struct:
		return g.structure(t)
	case reflect.Slice:
		item := g.value(field{typ: t.Elem()})
		list := object{"type": "array", "items": item}
		if f.single {
			return object{"anyOf": []any{item, list}}
		}
		return list
	case reflect.Map:
		return object{"type": "object", "additionalProperties": g.value(field{typ: t.Elem()})}
	case reflect.String:
		return object{"type": scalarTypes()}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Interface:
		return object{}
	}
	if strings.HasPrefix(t.Kind().String(), "uint") {
		return object{"type": "integer", "minimum": 0}
	}
	return object{"type": "integer"}
}

func (g *generator) structure(t reflect.Type) object {
	properties, required := object{}, []string{}
	for _, f := range fieldsOf(t) {
		properties[f.name] = g.property(f)
		if f.required {
			required = append(required, f.name)
		}
	}
	s := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func (g *generator) property(f field) object {
	p := g.value(f)
	if f.doc != "" {
		p["description"] = f.doc
	}
	if len(f.enum) > 0 {
		p["enum"] = f.enum
	}
	if f.def != nil {
		p["default"] = *f.def
	}
	if f.deprecated {
		p["deprecated"] = true
	}
	if !f.required { // a key without a value is an absent key
		return nullable(p)
	}
	return p
}

// nullable lets a value be left out behind its key.
func nullable(p object) object {
	if enum, ok := p["enum"].([]string); ok {
		p["enum"] = append(anys(enum), nil)
	}
	switch t := p["type"].(type) {
	case string:
		p["type"] = []string{t, "null"}
	case []string:
		p["type"] = append(slices.Clone(t), "null")
	default:
		if any, ok := p["anyOf"].([]any); ok {
			p["anyOf"] = append(slices.Clone(any), object{"type": "null"})
		}
	}
	return p
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
