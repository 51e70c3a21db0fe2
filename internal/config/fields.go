package config

import (
	"reflect"
	"slices"
	"strings"
)

// field is a key of a section, as its struct describes it. The same
// description decodes files and generates the JSON Schema:
//
//	yaml:"name"       the key; "-" hides the field
//	doc:"…"           one line for the schema
//	default:"10s"     the value of an absent key, in the file's notation
//	enum:"a,b"        the only values allowed
//	required:"true"   absence is an error
//	example:"10s"     shown where a required key is missing
//	single:"true"     a list may be written as one scalar
//	deprecated:"true" accepted, but not suggested
//
// An embedded struct without a yaml tag contributes its own fields.
type field struct {
	name, doc, example string
	def                *string
	enum               []string
	required, single   bool
	deprecated         bool
	index              []int
	typ                reflect.Type
}

// fieldsOf lists the keys of a struct type in the order of its fields.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		sf := t.Field(i)
		name, _, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		if sf.Anonymous && name == "" && sf.Type.Kind() == reflect.Struct {
			for _, f := range fieldsOf(sf.Type) {
				f.index = append([]int{i}, f.index...)
				fields = append(fields, f)
			}
			continue
		}
		if !sf.IsExported() || name == "-" {
			continue
		}
		fields = append(fields, fieldOf(sf, name, i))
	}
	return fields
}

func fieldOf(sf reflect.StructField, name string, i int) field {
	if name == "" {
		name = strings.ToLower(sf.Name)
	}
	f := field{
		name: name, doc: sf.Tag.Get("doc"), example: sf.Tag.Get("example"),
		required: sf.Tag.Get("required") == "true", single: sf.Tag.Get("single") == "true",
		deprecated: sf.Tag.Get("deprecated") == "true",
		index:      []int{i}, typ: sf.Type,
	}
	if def, ok := sf.Tag.Lookup("default"); ok {
		f.def = &def
	}
	if enum, ok := sf.Tag.Lookup("enum"); ok {
		f.enum = strings.Split(enum, ",")
	}
	return f
}

func namesOf(fields []field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return names
}

// current are the fields that are not deprecated.
func current(fields []field) []field {
	return slices.DeleteFunc(slices.Clone(fields), func(f field) bool { return f.deprecated })
}
