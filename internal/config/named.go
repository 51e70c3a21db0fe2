package config

import (
	"reflect"
	"strings"
	"unicode"
)

// named is a map from names to sections, in file order.
type named[T any] []namedEntry[T]

type namedEntry[T any] struct {
	name string
	pos  Pos
	node *node
	spec T
}

// maxName bounds names, which become labels of metrics.
const maxName = 128

// unseen is true for what a terminal or an editor does not show as it is: names
// are read by people in logs, where one could pass for another.
func unseen(r rune) bool { return !unicode.IsPrint(r) }

func (l *named[T]) decodeNode(d *decoder, n *node, key string) {
	if n.kind != mapNode {
		d.errorf(n.pos, "%s must be a map from names to sections, not %s", key, n.describe())
		return
	}
	for _, e := range n.entries {
		if e.key == "" || len(e.key) > maxName || strings.ContainsFunc(e.key, unseen) {
			d.errorf(e.pos, "the name %s in %s must have 1 to %d bytes, none of them control or invisible characters", quote(e.key), key, maxName)
		}
		if e.value.isNull() {
			d.errorf(e.pos, "%s in %s has no keys", quote(e.key), key)
			continue
		}
		section := *e.value
		section.pos = e.pos // what is missing is missing from the name
		if section.kind != mapNode {
			section.pos = e.value.pos
		}
		ne := namedEntry[T]{name: e.key, pos: e.pos, node: &section}
		d.value(&section, reflect.ValueOf(&ne.spec).Elem(), field{name: quote(e.key)})
		*l = append(*l, ne)
	}
}

// providerSection is a provider's entry: keys that every provider has, and
// the rest, which is the provider's own.
type providerSection struct {
	providerSpec
	settings Section
}

func (p *providerSection) decodeNode(d *decoder, n *node, key string) {
	common := namesOf(fieldsOf(reflect.TypeFor[providerSpec]()))
	shared := decoder{report: d.report, unknown: func(entry) {}}
	shared.structure(n, reflect.ValueOf(&p.providerSpec).Elem(), key)
	if n.kind == mapNode {
		p.settings = Section{file: d.file, node: n.without(common...), siblings: common}
	}
}
