package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// Paths are the keys of a text by their places. They are for texts that nobody
// has seen in this form, in which a line and a column say nothing.
type Paths map[Pos]string

// PathsOf looks at a text that Parse has read; of others it knows nothing.
func PathsOf(data []byte) Paths {
	p := Paths{}
	var doc yaml.Node
	if yaml.NewDecoder(bytes.NewReader(data)).Decode(&doc) == nil && len(doc.Content) == 1 {
		p.add(doc.Content[0], "", 0)
	}
	return p
}

func (p Paths) add(n *yaml.Node, path string, depth int) {
	if depth > maxDepth {
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			below := join(path, key.Value)
			p[Pos{key.Line, key.Column}] = below
			p.note(value, below)
			p.add(value, below, depth+1)
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			below := path + "[" + strconv.Itoa(i) + "]"
			p.note(item, below)
			p.add(item, below, depth+1)
		}
	}
}

func (p Paths) note(n *yaml.Node, path string) { p[Pos{n.Line, n.Column}] = path }

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// join is the path as kubectl explain writes it, where the key allows that.
func join(path, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return path + "[" + quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// Name returns the list with paths in place of lines and columns.
func (p Paths) Name(list []Diagnostic) []Diagnostic {
	named := make([]Diagnostic, len(list))
	for i, d := range list {
		named[i] = Diagnostic{File: d.File, Path: p[d.Pos], Text: d.Text}
	}
	return named
}

// FromJSON makes text for Parse of a JSON value: one key a line, and what YAML
// takes for no text escaped.
func FromJSON(data []byte) ([]byte, error) {
	var lines, out bytes.Buffer
	if err := json.Indent(&lines, data, "", "  "); err != nil {
		return nil, fmt.Errorf("no JSON: %w", err)
	}
	for _, r := range lines.String() {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			out.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			fmt.Fprintf(&out, `\U%08x`, r)
		}
	}
	return out.Bytes(), nil
}
