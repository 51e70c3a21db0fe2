package config

import "strings"

// kind is the shape of a node.
type kind int

const (
	scalarNode kind = iota
	listNode
	mapNode
)

// node is YAML with aliases and merges resolved: what the rest of the package
// reads, so that it needs to know nothing of YAML.
type node struct {
	kind    kind
	pos     Pos
	tag     string // of a scalar: !!str, !!int, !!float, !!bool, !!null
	value   string // of a scalar, as written
	items   []*node
	entries []entry
	lost    bool // something in it was reported and is not here
	comment comment
}

// entry is one key of a map.
type entry struct {
	key     string
	pos     Pos
	value   *node
	comment comment
}

// comment is what stands above and behind a node.
type comment struct{ head, line string }

// isNull is true for a key without a value, which counts as an absent key.
func (n *node) isNull() bool { return n == nil || n.kind == scalarNode && n.tag == "!!null" }

// tagBroken marks a value that was reported already.
const tagBroken = "!broken"

func (n *node) isBroken() bool { return n != nil && n.kind == scalarNode && n.tag == tagBroken }

// get finds a key of a map.
func (n *node) get(key string) (entry, bool) {
	if n == nil {
		return entry{}, false
	}
	for _, e := range n.entries {
		if e.key == key {
			return e, true
		}
	}
	return entry{}, false
}

// has says whether a map has a key, with or without a value.
func (n *node) has(key string) bool {
	_, ok := n.get(key)
	return ok
}

// without is a copy of a map that lacks a key.
func (n *node) without(keys ...string) *node {
	c := *n
	c.entries = nil
	for _, e := range n.entries {
		if !contains(keys, e.key) {
			c.entries = append(c.entries, e)
		}
	}
	return &c
}

// locate is the position of the key that path leads to, or of the last key on
// the way that exists; start where there is none.
func (n *node) locate(start Pos, path []string) Pos {
	for _, key := range path {
		e, ok := n.get(key)
		if !ok {
			break
		}
		start, n = e.pos, e.value
	}
	return start
}

// describe names a node's shape for an error. It shows no value: the node may
// be a secret.
func (n *node) describe() string {
	if n.kind == listNode {
		return "a list"
	}
	if n.kind == mapNode {
		return "a map"
	}
	switch n.tag {
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	}
	return "text"
}

// canonical writes n so that equal configurations have equal bytes: keys in
// order, comments, styles and places left out. Scalars go through hash, for
// they may be secret.
func (n *node) canonical(w *strings.Builder, hash func(string) string) {
	if n.isNull() {
		w.WriteString("null")
		return
	}
	switch n.kind {
	case mapNode:
		w.WriteByte('{')
		for _, e := range sortedEntries(n.entries) {
			w.WriteString(hash(e.key))
			w.WriteByte(':')
			e.value.canonical(w, hash)
			w.WriteByte(',')
		}
		w.WriteByte('}')
	case listNode:
		w.WriteByte('[')
		for _, item := range n.items {
			item.canonical(w, hash)
			w.WriteByte(',')
		}
		w.WriteByte(']')
	default:
		value := n.value
		if n.tag == "!!bool" {
			value = strings.ToLower(value)
		}
		w.WriteString(n.tag)
		w.WriteString(hash(value))
	}
}
