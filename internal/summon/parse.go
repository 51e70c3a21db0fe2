// Package summon reads the secrets.yml of CyberArk's summon, and makes the
// files that it promises to a command: temporary ones and @SUMMONENVFILE.
package summon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"secretless/internal/config"
)

const (
	// MaxFile bounds a secrets.yml, in bytes.
	MaxFile = 1 << 20
	// maxEntries bounds what merge keys can make of one.
	maxEntries = 10_000
	// maxMerges bounds merge keys that lead to others.
	maxMerges = 16
)

// filesSection is summon's own section for rendering files from templates.
const filesSection = "summon.files"

// Entry is one variable of the command's environment.
type Entry struct {
	Name string
	Pos  config.Pos // of its value
	// Value is an id to ask the provider for if Var is set, else the value.
	Value string
	Var   bool
	// File puts the value into a temporary file, whose path the variable gets.
	File bool
	// Default stands in for an empty value.
	Default string
}

// Options choose what of a file counts.
type Options struct {
	// Environment is the section; empty for a file without sections.
	Environment string
	// Define says what $name stands for.
	Define map[string]string
}

// Parse reads a secrets.yml. Its error is a config.Errors with everything that
// is wrong. name is what errors call the file.
func Parse(name string, data []byte, o Options) ([]Entry, error) {
	p := &parser{name: name, options: o}
	if len(data) > MaxFile {
		p.errorf(nil, "file has more than %d bytes; is it the right one?", MaxFile)
		return nil, p.errs.Err()
	}
	root := p.document(data)
	var entries []Entry
	if root != nil {
		entries = p.entries(root)
	}
	return entries, p.errs.Err()
}

type parser struct {
	name    string
	options Options
	errs    config.Errors
	visited int
}

func (p *parser) errorf(at *yaml.Node, format string, args ...any) {
	d := config.Diagnostic{File: p.name, Text: fmt.Sprintf(format, args...)}
	if at != nil {
		d.Pos = config.Pos{Line: at.Line, Column: at.Column}
	}
	p.errs = append(p.errs, d)
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)`)

// document returns the mapping that the file is, nil if it is empty or broken.
func (p *parser) document(data []byte) *yaml.Node {
	var doc, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	err := d.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil && !errors.Is(d.Decode(&more), io.EOF):
		p.errorf(nil, "file has more than one YAML document")
		return nil
	case err != nil:
		m := yamlLine.FindStringSubmatch(err.Error())
		line, _ := strconv.Atoi(m[1])
		p.errs = append(p.errs, config.Diagnostic{File: p.name, Pos: config.Pos{Line: line, Column: min(line, 1)}, Text: m[2]})
		return nil
	}
	root := follow(doc.Content[0])
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		p.errorf(root, "a secrets.yml is a map from names to values")
		return nil
	}
	return root
}

// follow leads from an alias to what it stands for.
func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// entries chooses by environment.
func (p *parser) entries(root *yaml.Node) []Entry {
	top := p.mapping(root)
	for _, m := range top {
		if m.key.Value == filesSection {
			p.errorf(m.key, "%s is not supported here: use !file or !file:var, and the path in the variable", filesSection)
			return nil
		}
	}
	if p.options.Environment == "" {
		return p.flat(top)
	}
	return p.section(top)
}

func isCommon(name string) bool { return name == "common" || name == "default" }

func (p *parser) flat(top []member) []Entry {
	var out []Entry
	for _, m := range top {
		if m.value.Kind != yaml.MappingNode {
			out = p.entry(out, m)
		} else if !isCommon(m.key.Value) { // summon leaves these out without -e
			p.errorf(m.key, "%q is a section: choose one with -e", m.key.Value)
		}
	}
	return out
}

// section is the chosen environment with what is common to all.
func (p *parser) section(top []member) []Entry {
	sections := map[string]*yaml.Node{}
	for _, m := range top {
		if m.value.Kind != yaml.MappingNode {
			p.errorf(m.key, "%q is no section, and with -e a file has sections only", m.key.Value)
			continue
		}
		sections[m.key.Value] = m.value
	}
	chosen, ok := sections[p.options.Environment]
	if !ok {
		known := slices.Sorted(maps.Keys(sections))
		p.errorf(nil, "no section %q%s; there are: %s", p.options.Environment,
			config.DidYouMean(p.options.Environment, known), strings.Join(known, ", "))
		return nil
	}
	var out []Entry
	own := map[string]bool{}
	for _, m := range p.mapping(chosen) {
		own[m.key.Value] = true
		out = p.entry(out, m)
	}
	for _, name := range []string{"common", "default"} {
		common, ok := sections[name]
		if !ok {
			continue
		}
		for _, m := range p.mapping(common) {
			if !own[m.key.Value] {
				out = p.entry(out, m)
			}
		}
		break // as in summon, the other is not read then
	}
	return out
}

func (p *parser) entry(out []Entry, m member) []Entry {
	e := Entry{Name: m.key.Value, Pos: config.Pos{Line: m.at.Line, Column: m.at.Column}}
	if e.Name == "" || strings.ContainsAny(e.Name, "=\x00") {
		p.errorf(m.key, "%q cannot be the name of an environment variable", e.Name)
		return out
	}
	if m.value.Kind != yaml.ScalarNode {
		p.errorf(m.at, "%s must be a single value", e.Name)
		return out
	}
	if err := e.tags(m.value.ShortTag()); err != nil {
		p.errorf(m.at, "%s: %v", e.Name, err)
		return out
	}
	var err error
	if e.Value, err = substitute(m.value.Value, p.options.Define); err != nil {
		p.errorf(m.at, "%s: %v", e.Name, err)
		return out
	}
	if e.Var && e.Value == "" {
		p.errorf(m.at, "%s: !var needs the id of a secret", e.Name)
		return out
	}
	return append(out, e)
}

var reference = regexp.MustCompile(`\$(\$|\w+)`)

// substitute replaces $name, and $$ by $.
func substitute(text string, define map[string]string) (string, error) {
	var missing []string
	out := reference.ReplaceAllStringFunc(text, func(ref string) string {
		name := ref[1:]
		if name == "$" {
			return "$"
		}
		value, ok := define[name]
		if !ok {
			missing = append(missing, name)
		}
		return value
	})
	if missing != nil {
		return "", fmt.Errorf("$%s is not defined: add -D %[1]s=…, or write $$ for a dollar", missing[0])
	}
	return out, nil
}
