package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	preserve    = "x-kubernetes-preserve-unknown-fields"
	intOrString = "x-kubernetes-int-or-string"
)

// structural is what Kubernetes' structural schemas can say of a JSON Schema.
// They give every value one type, and cannot forbid unknown keys, only drop
// them silently: a misspelt allow would be gone, and everybody let in. So
// unknown keys are kept, for the broker to refuse. What may be a scalar or a map
// is left to it as well.
func structural(s object) object {
	out := object{}
	if text := description(s); text != "" {
		out["description"] = text
	}
	types, nullable := typesOf(s)
	if nullable {
		out["nullable"] = true
	}
	alternatives, _ := s["anyOf"].([]any)
	switch {
	case s["$ref"] != nil, len(alternatives) > 0 && !onlyRequired(alternatives), len(types) == 0 && s["enum"] == nil:
		out[preserve] = true
		return out
	case len(types) == 0:
		out[intOrString] = true
	case slices.Equal(types, scalarTypes()):
		// Booleans and fractions would come back in another spelling.
		out[intOrString] = true
	case len(types) > 1:
		// Text or an integer: the bits of a mode. YAML's 0660 is 432 in JSON,
		// which would be read as another mode.
		out["type"] = "string"
	default:
		out["type"] = types[0]
	}
	for _, key := range []string{"pattern", "minimum", "minItems", "minProperties", "required"} {
		if v, ok := s[key]; ok {
			out[key] = v
		}
	}
	if enum := choices(s["enum"]); enum != nil {
		if nullable {
			enum = append(enum, nil)
		}
		out["enum"] = enum
	}
	if len(alternatives) > 0 {
		out["anyOf"] = alternatives
	}
	below(s, out)
	return out
}

// below is the items of lists and the keys of maps.
func below(s, out object) {
	if items, ok := s["items"].(object); ok {
		out["items"] = structural(items)
	}
	if out["type"] != "object" {
		return
	}
	properties, ok := s["properties"].(object)
	if more, isSchema := s["additionalProperties"].(object); isSchema && !ok {
		out["additionalProperties"] = structural(more)
		return
	}
	out[preserve] = true
	if len(properties) == 0 {
		return
	}
	keys := object{}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		property, _ := properties[name].(object)
		keys[name] = structural(property)
	}
	out["properties"] = keys
}

// typesOf are the types of a schema, and whether null is one of them.
func typesOf(s object) (types []string, nullable bool) {
	switch t := s["type"].(type) {
	case string:
		types = []string{t}
	case []string:
		types = t
	}
	if alternatives, ok := s["anyOf"].([]any); ok {
		nullable = slices.ContainsFunc(alternatives, func(a any) bool {
			o, _ := a.(object)
			return o["type"] == "null"
		})
	}
	named := slices.DeleteFunc(slices.Clone(types), func(t string) bool { return t == "null" })
	return named, nullable || len(named) < len(types)
}

// choices are the values of an enum but null.
func choices(enum any) []any {
	list, ok := enum.([]any)
	if texts, isText := enum.([]string); isText {
		list, ok = anys(texts), true
	}
	if !ok {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(list), func(v any) bool { return v == nil })
}

// onlyRequired says whether alternatives differ in the keys that must be there
// alone, which a structural schema can say too.
func onlyRequired(alternatives []any) bool {
	return !slices.ContainsFunc(alternatives, func(a any) bool {
		o, ok := a.(object)
		return !ok || len(o) != 1 || o["required"] == nil
	})
}

// description says in words what a structural schema cannot.
func description(s object) string {
	text, _ := s["description"].(string)
	// A default of the schema would be written into every resource.
	if def, ok := s["default"]; ok && !strings.Contains(text, "default ") {
		text += fmt.Sprintf(" Default: %v.", def)
	}
	if s["deprecated"] == true {
		text = "Deprecated. " + text
	}
	return strings.TrimSpace(text)
}
