package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

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
