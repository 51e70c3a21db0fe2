package config

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

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
}

// value fills v from n; key is what errors call it.
func (d *decoder) value(n *node, v reflect.Value, f field) {
	if n.kind == scalarNode && n.tag == tagBroken {
		return
	}
	if v.CanAddr() {
		if nd, ok := v.Addr().Interface().(nodeDecoder); ok {
			nd.decodeNode(d, n, f.name)
			return
		}
	}
	if n.isNull() && v.Kind() != reflect.Struct {
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

// structure fills a struct; at is how errors call the section.
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
			d.missing(n, f, e, ok)
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
			known := slices.Concat(namesOf(current(fields)), d.siblings)
			d.errorf(e.pos, "unknown key %s%s", quote(e.key), didYouMeanKey(e.key, known))
		}
	}
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

// basic fills the plain Go types from a scalar.
func (d *decoder) basic(n *node, v reflect.Value, f field) {
	want := "text"
	ok := n.kind == scalarNode
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		d.duration(n, v, f.name)
		return
	case v.Kind() == reflect.String:
		if ok {
			v.SetString(n.value)
		}
	case v.Kind() == reflect.Bool:
		want = "true or false"
		var b bool
		if b, ok = boolean(n); ok {
			v.SetBool(b)
		}
	case v.CanInt(), v.CanUint():
		want = "a whole number"
		if ok && (n.tag == "!!int" || n.tag == "!!float") && !setWhole(v, n.value) {
			d.errorf(n.pos, "%s must be a whole number%s, not %s", f.name, rangeOf(v), n.value)
			return
		}
		ok = ok && setWhole(v, n.value)
	case v.CanFloat():
		want = "a number"
		var x float64
		if x, ok = number(n); ok {
			v.SetFloat(x)
		}
	default:
		want, ok = "of another type", false
	}
	if !ok {
		d.errorf(n.pos, "%s must be %s, not %s", f.name, want, n.describe())
	}
}

func boolean(n *node) (value, ok bool) {
	text := strings.ToLower(n.value)
	return text == "true", n.kind == scalarNode && (text == "true" || text == "false")
}

func number(n *node) (float64, bool) {
	x, err := strconv.ParseFloat(n.value, 64)
	return x, n.kind == scalarNode && err == nil && !math.IsNaN(x) && !math.IsInf(x, 0)
}

func setWhole(v reflect.Value, text string) bool {
	text = strings.ReplaceAll(text, "_", "")
	if v.CanInt() {
		i, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err == nil {
			v.SetInt(i)
		}
		return err == nil
	}
	u, err := strconv.ParseUint(text, 10, v.Type().Bits())
	if err == nil {
		v.SetUint(u)
	}
	return err == nil
}

// rangeOf says what fits into an integer.
func rangeOf(v reflect.Value) string {
	if v.CanUint() {
		return fmt.Sprintf(" from 0 to %d", uint64(math.MaxUint64)>>(64-v.Type().Bits()))
	}
	most := int64(math.MaxInt64) >> (64 - v.Type().Bits())
	return fmt.Sprintf(" from %d to %d", -most-1, most)
}

func (d *decoder) duration(n *node, v reflect.Value, key string) {
	if n.kind != scalarNode {
		d.errorf(n.pos, "%s must be a duration such as 10s, not %s", key, n.describe())
		return
	}
	x, err := time.ParseDuration(n.value)
	switch {
	case err == nil && x >= 0:
		v.SetInt(int64(x))
	case err == nil:
		d.errorf(n.pos, "%s must not be negative", key)
	case n.tag == "!!int" || n.tag == "!!float":
		d.errorf(n.pos, "%s needs a unit: write %ss for seconds, or ms, m, h", key, n.value)
	default:
		d.errorf(n.pos, "%s must be a duration such as 500ms, 10s or 1h30m, not %s", key, quote(n.value))
	}
}

// plainValue is n in Go's general types.
func plainValue(n *node) any {
	switch n.kind {
	case mapNode:
		m := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			m[e.key] = plainValue(e.value)
		}
		return m
	case listNode:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			list[i] = plainValue(item)
		}
		return list
	}
	switch n.tag {
	case "!!null":
		return nil
	case "!!bool":
		b, _ := boolean(n)
		return b
	case "!!int":
		if i, err := strconv.ParseInt(n.value, 0, 64); err == nil {
			return i
		}
	case "!!float":
		if x, ok := number(n); ok {
			return x
		}
	}
	return n.value
}
