package config

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// CRD is the CustomResourceDefinition of configurations, as YAML, for the API
// group with the suffix. Its spec is made from the types that Parse decodes
// into.
func CRD(in SchemaInput, suffix string) ([]byte, error) {
	group := ResourceGroup(suffix)
	doc := object{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   object{"name": ResourcePlural + "." + group},
		"spec": object{
			"group": group,
			"scope": "Namespaced",
			"names": object{
				"kind": ResourceKind, "listKind": ResourceKind + "List", "plural": ResourcePlural,
				"singular": strings.ToLower(ResourceKind), "shortNames": []string{"sbconfig"},
			},
			"versions": []any{today(in), before(group)},
		},
	}
	var w bytes.Buffer
	enc := yaml.NewEncoder(&w)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return nil, fmt.Errorf("write the definition: %w", err)
	}
	return w.Bytes(), enc.Close()
}

// today is the version whose spec is this format.
func today(in SchemaInput) object {
	return object{
		"name": ResourceVersion, "served": true, "storage": true,
		"subresources": object{"status": object{}},
		"additionalPrinterColumns": []any{
			column("Accepted", "string", `.status.conditions[?(@.type=="Accepted")].status`, "Whether the brokers have taken over the newest generation."),
			column("Reason", "string", `.status.conditions[?(@.type=="Accepted")].reason`, "Why, in a word."),
			column("Services", "integer", ".status.services", "How many services it has."),
			column("Age", "date", ".metadata.creationTimestamp", ""),
		},
		"schema": object{"openAPIV3Schema": object{
			"type":        "object",
			"description": "A configuration of Secretless: what its brokers listen on and how they log in to targets. They say in the status what they think of it.",
			"required":    []string{"spec"},
			"properties": object{
				"apiVersion": object{"type": "string"},
				"kind":       object{"type": "string"},
				"metadata":   object{"type": "object"},
				"spec":       specSchema(in),
				"status":     statusSchema(),
			},
		}},
	}
}

// before is the old broker's version. It is there because a cluster that has
// resources of it does not take a definition without, and because they are
// still there to be converted.
func before(group string) object {
	any := object{"type": "object", preserve: true}
	return object{
		"name": "v1", "served": true, "storage": false, "deprecated": true,
		"deprecationWarning": group + "/v1 is the old broker's; rewrite the resource with: secretless convert",
		"schema":             object{"openAPIV3Schema": object{"type": "object", "properties": object{"spec": any, "status": any}}},
	}
}

func column(name, kind, path, doc string) object {
	c := object{"name": name, "type": kind, "jsonPath": path}
	if doc != "" {
		c["description"] = doc
	}
	return c
}

// specSchema is the file's schema.
func specSchema(in SchemaInput) object {
	g := &generator{in}
	spec := structural(g.structure(reflect.TypeFor[fileSpec]()))
	spec["description"] = "What secretless.yml would say, key for key."
	// apiVersion has said it.
	delete(spec, "required")
	// A resource of the old broker lives on until it is converted.
	spec["anyOf"] = []any{object{"required": []string{"services"}}, object{"required": []string{"listeners"}}}
	keys := spec["properties"].(object)
	// A definition is one for the whole cluster, where brokers of several
	// versions may run, so it lists what there is and does not insist.
	known(keys["services"], "connector", slices.Sorted(maps.Keys(in.Connectors)))
	known(keys["providers"], "type", slices.Sorted(maps.Keys(in.Providers)))
	return spec
}

func known(sections any, key string, ids []string) {
	k := sections.(object)["additionalProperties"].(object)["properties"].(object)[key].(object)
	delete(k, "enum")
	k["description"] = fmt.Sprintf("%s Known are %s.", k["description"], strings.Join(ids, ", "))
}

func statusSchema() object {
	text := func(doc string) object { return object{"type": "string", "description": doc} }
	condition := object{
		"type":     "object",
		"required": []string{"type", "status", "lastTransitionTime", "reason", "message"},
		"properties": object{
			"type":               text("Accepted: the brokers have taken over this generation."),
			"status":             object{"type": "string", "enum": []string{"True", "False", "Unknown"}},
			"observedGeneration": object{"type": "integer", "format": "int64", "description": "The metadata.generation that this is about."},
			"lastTransitionTime": object{"type": "string", "format": "date-time", "description": "When status became what it is."},
			"reason":             text("Applied; Invalid: the spec has mistakes; NotApplied: it has none, and could not be put into effect."),
			"message":            text("Every mistake, one a line, each with its path."),
		},
	}
	return object{
		"type":        "object",
		"description": "What the brokers that use this configuration think of it.",
		"properties": object{
			"observedGeneration": object{"type": "integer", "format": "int64", "description": "The newest metadata.generation that a broker has looked at."},
			"services":           object{"type": "integer", "description": "How many services the accepted configuration has."},
			"reporter":           text("The broker, by its pod's name, that has written this."),
			"reported":           object{"type": "string", "format": "date-time", "description": "When it did."},
			"conditions": object{
				"type": "array", "items": condition,
				"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": []string{"type"},
			},
		},
	}
}
