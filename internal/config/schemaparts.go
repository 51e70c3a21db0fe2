package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

func (*versionSpec) schema(*generator) object { return object{"enum": []any{"2", 2, "v2"}} }

func (*absolutePath) schema(*generator) object {
	return object{"type": "string", "pattern": `^(/|[A-Za-z]:[\\/])`}
}

func (*modeSpec) schema(*generator) object {
	return object{"type": []string{"string", "integer"}, "pattern": `^(0o)?[0-7]{1,4}$`}
}

func (*healthSpec) schema(*generator) object {
	return object{"anyOf": []any{object{"enum": []any{"off", false}}, address("tcp", "unix")}}
}

func (*socketAddr) schema(*generator) object {
	return object{"anyOf": []any{object{"enum": []any{"off", false}}, address("unix")}}
}

func (*listenList) schema(*generator) object {
	one := address("tcp", "unix", "systemd")
	return object{"anyOf": []any{one, object{"type": "array", "items": one, "minItems": 1}}}
}

func address(networks ...string) object {
	patterns := map[string]string{"tcp": `tcp://.*:[0-9]{1,5}`, "unix": `unix:///.*[^/]`, "systemd": `systemd://.+`}
	var alternatives []string
	for _, n := range networks {
		alternatives = append(alternatives, patterns[n])
	}
	return object{"type": "string", "pattern": "^(" + strings.Join(alternatives, "|") + ")$"}
}

func (*credentialList) schema(*generator) object {
	return object{"type": "object", "additionalProperties": object{"$ref": "#/$defs/credential"}}
}

func (*keySpec) schema(*generator) object {
	return object{"anyOf": []any{object{"type": "string", "pattern": `^(/|[A-Za-z]:[\\/])`}, object{"$ref": "#/$defs/credential"}}}
}

func (*Section) schema(*generator) object { return object{"type": "object"} }

// credential is the notation of one credential: a scalar or {from, get}.
func (g *generator) credential() object {
	ref := g.structure(reflect.TypeFor[refSpec]())
	ref["required"] = []string{"from", "get"}
	from := "A built-in provider or a name from providers."
	for _, id := range slices.Sorted(maps.Keys(g.in.Providers)) {
		if p := g.in.Providers[id]; !p.NeedsInstance {
			from += fmt.Sprintf(" %s: get is %s.", id, strings.TrimSuffix(p.Ref, "."))
		}
	}
	ref["properties"].(object)["from"].(object)["description"] = from
	return object{"anyOf": []any{object{"type": append(scalarTypes(), "null")}, ref}}
}

func (l *named[T]) schema(g *generator) object {
	item := g.value(field{typ: reflect.TypeFor[T]()})
	if reflect.TypeFor[T]() == reflect.TypeFor[serviceSpec]() {
		item["anyOf"] = []any{object{"required": []string{"connector"}}, object{"required": []string{"protocol"}}}
		item["allOf"] = g.connectors()
		connector := item["properties"].(object)["connector"].(object)
		connector["enum"] = append(anys(slices.Sorted(maps.Keys(g.in.Connectors))), nil)
		return object{"type": "object", "additionalProperties": item, "minProperties": 1}
	}
	return object{"type": "object", "additionalProperties": item}
}

// connectors says, for each connector, what its config and credentials are.
func (g *generator) connectors() []any {
	var rules []any
	for _, id := range slices.Sorted(maps.Keys(g.in.Connectors)) {
		c := g.in.Connectors[id]
		properties := object{"credentials": g.credentialsOf(c)}
		if c.Config != nil {
			properties["config"] = nullable(g.value(field{typ: reflect.TypeOf(c.Config)}))
		}
		then := object{"description": c.Summary, "properties": properties}
		if slices.ContainsFunc(c.Credentials, func(c CredentialSchema) bool { return c.Required }) {
			then["required"] = []string{"credentials"}
		}
		rules = append(rules, object{"if": when("connector", id), "then": then})
	}
	return rules
}

// when matches a section whose key has the value.
func when(key, value string) object {
	return object{"properties": object{key: object{"const": value}}, "required": []string{key}}
}

func (g *generator) credentialsOf(c ConnectorSchema) object {
	properties, required := object{}, []string{}
	for _, cred := range c.Credentials {
		p := object{"$ref": "#/$defs/credential", "description": cred.Doc}
		if cred.Default != "" {
			p["default"] = cred.Default
		}
		if cred.Deprecated != "" {
			p["deprecated"] = true
			p["description"] = strings.TrimSpace(cred.Doc + " Deprecated: " + cred.Deprecated)
		}
		properties[cred.Name] = p
		if cred.Required {
			required = append(required, cred.Name)
		}
	}
	s := object{"type": []string{"object", "null"}, "properties": properties}
	if len(required) > 0 {
		s["type"], s["required"] = "object", required
	}
	s["additionalProperties"] = false
	if c.OtherCredentials != "" {
		s["additionalProperties"] = object{"$ref": "#/$defs/credential", "description": c.OtherCredentials}
	}
	return s
}

// schema of a provider: the keys every provider has, and those of its type.
func (*providerSection) schema(g *generator) object {
	common := g.structure(reflect.TypeFor[providerSpec]())
	shared := common["properties"].(object)
	shared["type"].(object)["enum"] = anys(slices.Sorted(maps.Keys(g.in.Providers)))
	var rules []any
	for _, id := range slices.Sorted(maps.Keys(g.in.Providers)) {
		p := g.in.Providers[id]
		own := object{"type": "object", "properties": object{}}
		if p.Config != nil {
			own = g.value(field{typ: reflect.TypeOf(p.Config)})
		}
		properties := own["properties"].(object)
		for key := range shared {
			if _, ok := properties[key]; !ok {
				properties[key] = true
			}
		}
		own["additionalProperties"], own["description"] = false, p.Summary
		rules = append(rules, object{"if": when("type", id), "then": own})
	}
	delete(common, "additionalProperties")
	if rules != nil {
		common["allOf"] = rules
	}
	return common
}
