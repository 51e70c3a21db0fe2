package config

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of a file. Aliases multiply, so the values are counted after they are
// resolved.
const (
	maxFile   = 1 << 20
	maxValues = 100_000
	maxDepth  = 64
)

// tree turns YAML nodes into ours.
type tree struct {
	*report
	values int
	// open are the anchored nodes being read: one that contains itself would
	// never end.
	open map[*yaml.Node]bool
	full bool // maxValues was passed
}

// read parses data into one tree, or reports why it cannot; nil then.
func (r *report) read(data []byte) *node {
	if !r.readable(data) {
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		r.syntax(data, err)
		return nil
	} else if err != nil || blank(&doc) {
		r.errorf(Pos{}, `the file is empty; a configuration starts with version: "2" and has at least one service`)
		return nil
	}
	var second yaml.Node
	if err := dec.Decode(&second); err == nil {
		r.errorf(Pos{second.Line, second.Column}, "a second document starts here; a configuration is one document, so remove the --- before it")
		return nil
	} else if !errors.Is(err, io.EOF) {
		r.syntax(data, err)
		return nil
	}
	t := &tree{report: r, open: map[*yaml.Node]bool{}}
	root := t.node(doc.Content[0], 0)
	if t.full || root == nil {
		return nil
	}
	root.comment.head = strings.TrimSpace(doc.HeadComment + "\n\n" + root.comment.head)
	return root
}

// blank tells a document of which only the --- is there. The parser places what
// is missing in the line behind it, which the file need not have.
func blank(doc *yaml.Node) bool {
	n := doc.Content[0]
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.ShortTag() == "!!null" && n.Style&yaml.TaggedStyle == 0 && n.Anchor == ""
}

// node converts n and what is below it. It returns nil where it reported an
// error that leaves nothing to look at.
func (t *tree) node(n *yaml.Node, depth int) *node {
	if t.full {
		return nil
	}
	pos := Pos{n.Line, n.Column}
	t.values++
	if t.values > maxValues {
		t.full = true
		t.errorf(pos, "the file has more than %d values, aliases counted each time they are used", maxValues)
		return nil
	}
	if depth > maxDepth {
		t.errorf(pos, "nested more than %d levels deep", maxDepth)
		return nil
	}
	out := &node{pos: pos, comment: commentOf(n)}
	if n.Anchor != "" {
		t.open[n] = true
		defer delete(t.open, n)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return t.alias(n, depth)
	case yaml.MappingNode:
		out.kind = mapNode
		if !t.tagged(n, "!!map") {
			return nil
		}
		t.mapping(n, out, depth)
	case yaml.SequenceNode:
		out.kind = listNode
		if !t.tagged(n, "!!seq") {
			return nil
		}
		for _, item := range n.Content {
			if c := t.node(item, depth+1); c != nil {
				out.items = append(out.items, c)
			} else {
				out.lost = true
			}
		}
	default:
		return t.scalar(n, out)
	}
	return out
}

func (t *tree) alias(n *yaml.Node, depth int) *node {
	if t.open[n.Alias] {
		t.errorf(Pos{n.Line, n.Column}, "alias *%s is inside the anchor that it names", n.Value)
		return nil
	}
	return t.node(n.Alias, depth+1)
}

func (t *tree) scalar(n *yaml.Node, out *node) *node {
	out.tag, out.value = n.ShortTag(), n.Value
	switch out.tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!null":
	case "!!timestamp":
		out.tag = "!!str"
	case "!!merge": // << where it is a value
		out.tag = "!!str"
	case "!!binary":
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
		if err != nil {
			t.errorf(out.pos, "!!binary is not followed by base64")
			return nil
		}
		out.tag, out.value = "!!str", string(b)
	default:
		t.errorf(out.pos, "tag %s has no meaning here; remove it", out.tag)
		return nil
	}
	return out
}

// tagged checks that a map or list carries no tag of its own.
func (t *tree) tagged(n *yaml.Node, want string) bool {
	if tag := n.ShortTag(); tag != want {
		t.errorf(Pos{n.Line, n.Column}, "tag %s has no meaning here; remove it", tag)
		return false
	}
	return true
}

func (t *tree) mapping(n *yaml.Node, out *node, depth int) {
	var merges []*node
	seen := make(map[string]int, len(n.Content)/2) // key to line
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" {
			maps, ok := t.merged(value, depth)
			merges, out.lost = append(merges, maps...), out.lost || !ok
			continue
		}
		t.entry(key, value, out, seen, depth)
	}
	// What the map says itself wins over what it merges, and of several
	// merged maps the first wins.
	for _, m := range merges {
		for _, e := range m.entries {
			if seen[e.key] == 0 {
				seen[e.key] = e.pos.Line
				out.entries = append(out.entries, e)
			}
		}
	}
}

func (t *tree) entry(key, value *yaml.Node, out *node, seen map[string]int, depth int) {
	pos := Pos{key.Line, key.Column}
	k := t.node(key, depth+1)
	v := t.node(value, depth+1)
	switch {
	case k == nil:
		out.lost = true
	case k.kind != scalarNode || k.isNull():
		t.errorf(pos, "a key must be text, not %s", k.describe())
	case seen[k.value] != 0:
		t.errorf(pos, "key %s is here twice; the first is in line %d", quote(k.value), seen[k.value])
	default:
		seen[k.value] = pos.Line
		if v == nil { // reported; keep the key so that it does not count as missing
			v = &node{kind: scalarNode, tag: tagBroken, pos: Pos{value.Line, value.Column}}
		}
		out.entries = append(out.entries, entry{key: k.value, pos: pos, value: v, comment: commentOf(key)})
	}
}

// merged are the maps that a << brings in; ok is false after a report.
func (t *tree) merged(n *yaml.Node, depth int) (maps []*node, ok bool) {
	v := t.node(n, depth+1)
	if v == nil {
		return nil, false
	}
	list := []*node{v}
	if v.kind == listNode {
		list = v.items
	}
	if slices.ContainsFunc(list, func(m *node) bool { return m.kind != mapNode }) {
		t.errorf(Pos{n.Line, n.Column}, "<< needs a map or a list of maps to merge")
		return nil, false
	}
	return list, !v.lost
}

func commentOf(n *yaml.Node) comment { return comment{n.HeadComment, n.LineComment} }
