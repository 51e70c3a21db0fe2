package config

import (
	"encoding"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"secretless/internal/secret"
)

// ScalarUnmarshaler is implemented by settings that may be written as one
// scalar beside their usual form, which is that of their struct. The error
// completes "<key>: …" and must not repeat a secret.
type ScalarUnmarshaler interface{ UnmarshalScalar(text string) error }

// nodeDecoder is implemented by our own types that read the tree themselves.
type nodeDecoder interface {
	decodeNode(d *decoder, n *node, key string)
}

// decoder fills Go values from a tree and reports every mismatch.
type decoder struct {
	*report
	// siblings are keys that the section's owner does not see but that stand
	// beside its own, for suggestions.
	siblings []string
	// unknown is called for unknown keys; nil reports them as errors.
	unknown func(e entry)
	// bind is told the settings that are secrets.
	bind func(CredentialSetting, Credential)
}

// value fills v from n; f says what errors call it and what is allowed.
func (d *decoder) value(n *node, v reflect.Value, f field) {
	if n.isBroken() {
		return
	}
	if v.CanAddr() {
		if nd, ok := v.Addr().Interface().(nodeDecoder); ok {
			nd.decodeNode(d, n, f.name)
			return
		}
	}
	if d.credentialForm(n, v, f) || n.isNull() && v.Kind() != reflect.Struct {
		return
	}
	if v.Kind() == reflect.Pointer {
		p := reflect.New(v.Type().Elem())
		d.value(n, p.Elem(), f)
		v.Set(p)
		return
	}
	if d.scalarForm(n, v, f) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, f.name)
	case reflect.Slice:
		d.list(n, v, f)
	case reflect.Map:
		d.dictionary(n, v, f)
	case reflect.Interface:
		if plain := plainValue(n); plain != nil {
			v.Set(reflect.ValueOf(plain))
		}
	default:
		d.basic(n, v, f)
	}
}

// credentialForm handles the settings that are secrets.
func (d *decoder) credentialForm(n *node, v reflect.Value, f field) bool {
	if !v.CanAddr() {
		return false
	}
	setting, ok := v.Addr().Interface().(CredentialSetting)
	if !ok {
		return false
	}
	c := d.credential(entry{key: f.name, pos: n.pos, value: n})
	switch {
	case c.Broken:
	case d.bind == nil:
		d.errorf(n.pos, "%s is a secret, which this section cannot have", f.name)
	default:
		d.bind(setting, c)
	}
	return true
}

// scalarForm handles the types that read a scalar themselves.
func (d *decoder) scalarForm(n *node, v reflect.Value, f field) bool {
	if !v.CanAddr() {
		return false
	}
	var err error
	switch into := v.Addr().Interface().(type) {
	case *secret.Value:
		if n.kind == scalarNode {
			*into = secret.Copy(n.value)
			return true
		}
		d.errorf(n.pos, "%s must be text, not %s", f.name, n.describe())
		return true
	case ScalarUnmarshaler:
		if n.kind != scalarNode || n.isNull() {
			return false
		}
		err = into.UnmarshalScalar(n.value)
	case encoding.TextUnmarshaler:
		if n.kind != scalarNode {
			d.errorf(n.pos, "%s must be text, not %s", f.name, n.describe())
			return true
		}
		err = into.UnmarshalText([]byte(n.value))
	default:
		return false
	}
	if err != nil {
		d.errorf(n.pos, "%s: %v", f.name, err)
	}
	return true
}

// structure fills a struct; section is what errors call it.
func (d *decoder) structure(n *node, v reflect.Value, section string) {
	if n.isNull() {
		n = &node{kind: mapNode, pos: n.pos}
	}
	if n.kind != mapNode {
		d.errorf(n.pos, "%s must be a map of keys, not %s", section, n.describe())
		return
	}
	fields := fieldsOf(v.Type())
	d.unknownKeys(n, fields)
	for _, f := range fields {
		target := v.FieldByIndex(f.index)
		e, ok := n.get(f.name)
		switch {
		case ok && !e.value.isNull():
			d.value(e.value, target, f)
			d.enumerated(e.value, f)
		case f.required:
			if ok || !n.lost && (d.unknown != nil || !d.mistyped(n, fields, f.name)) {
				d.missing(n, f, e, ok)
			}
		case f.def != nil:
			d.value(&node{kind: scalarNode, tag: "!!str", value: *f.def, pos: n.pos}, target, f)
		case target.Kind() == reflect.Struct:
			d.defaults(target, n.pos)
		}
	}
}

// defaults fills in what the keys of an absent section stand for.
func (d *decoder) defaults(v reflect.Value, pos Pos) {
	if _, ok := v.Addr().Interface().(nodeDecoder); ok {
		return
	}
	for _, f := range fieldsOf(v.Type()) {
		if f.def != nil {
			d.value(&node{kind: scalarNode, tag: "!!str", value: *f.def, pos: pos}, v.FieldByIndex(f.index), f)
		}
	}
}

func (d *decoder) unknownKeys(n *node, fields []field) {
	names := namesOf(fields)
	for _, e := range n.entries {
		switch {
		case contains(names, e.key):
		case d.unknown != nil:
			d.unknown(e)
		default:
			if sections := sectionsWith(e.key, fields); len(sections) > 0 {
				d.errorf(e.pos, "unknown key %s; it belongs below %s", quote(e.key), strings.Join(sections, " or "))
				continue
			}
			d.errorf(e.pos, "unknown key %s%s", quote(e.key), didYouMeanKey(e.key, d.known(fields)))
		}
	}
}

func (d *decoder) known(fields []field) []string {
	return slices.Concat(namesOf(current(fields)), d.siblings)
}

// mistyped says that an unknown key of n was reported with the question whether
// name is meant: that it is missing, too, would be one mistake said twice.
func (d *decoder) mistyped(n *node, fields []field, name string) bool {
	names := namesOf(fields)
	return slices.ContainsFunc(n.entries, func(e entry) bool {
		return !contains(names, e.key) && len(sectionsWith(e.key, fields)) == 0 && Suggest(e.key, d.known(fields)) == name
	})
}

// sectionsWith are the sections among fields that have the key: people forget
// a section's name, or to indent what is in it.
func sectionsWith(key string, fields []field) []string {
	var found []string
	for _, f := range current(fields) {
		t := f.typ
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() == reflect.Struct && contains(namesOf(current(fieldsOf(t))), key) {
			found = append(found, f.name)
		}
	}
	return found
}

// didYouMeanKey suggests, or lists what there is when nothing is close.
func didYouMeanKey(key string, known []string) string {
	if s := DidYouMean(key, known); s != "" {
		return s
	}
	if len(known) == 0 {
		return "; no keys are known here"
	}
	return "; known are " + strings.Join(known, ", ")
}

func (d *decoder) missing(n *node, f field, e entry, present bool) {
	pos, what := n.pos, "is missing"
	if present {
		pos, what = e.pos, "is empty"
	}
	if f.example != "" {
		d.errorf(pos, "%s %s; write for instance %s: %s", f.name, what, f.name, f.example)
		return
	}
	d.errorf(pos, "%s %s", f.name, what)
}

func (d *decoder) enumerated(n *node, f field) {
	if len(f.enum) > 0 && n.kind == scalarNode && !contains(f.enum, n.value) {
		d.errorf(n.pos, "%s must be one of %s, not %s", f.name, strings.Join(f.enum, ", "), quote(n.value))
	}
}

func (d *decoder) list(n *node, v reflect.Value, f field) {
	items := n.items
	if n.kind != listNode {
		if !f.single || n.kind == mapNode {
			d.errorf(n.pos, "%s must be a list, not %s", f.name, n.describe())
			return
		}
		items = []*node{n}
	}
	list := reflect.MakeSlice(v.Type(), 0, len(items))
	for i, item := range items {
		if item.isNull() {
			d.errorf(item.pos, "%s has an empty entry", f.name)
			continue
		}
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(item, element, field{name: f.name + "[" + strconv.Itoa(i) + "]"})
		list = reflect.Append(list, element)
	}
	v.Set(list)
}

func (d *decoder) dictionary(n *node, v reflect.Value, f field) {
	if n.kind != mapNode || v.Type().Key().Kind() != reflect.String {
		d.errorf(n.pos, "%s must be a map, not %s", f.name, n.describe())
		return
	}
	m := reflect.MakeMapWithSize(v.Type(), len(n.entries))
	for _, e := range n.entries {
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(e.value, item, field{name: e.key})
		m.SetMapIndex(reflect.ValueOf(e.key).Convert(v.Type().Key()), item)
	}
	v.Set(m)
}
