package config

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Format v1, as the old broker read it.
type v1File struct {
	Version   any           `yaml:"version"`
	Listeners v1ListenerSet `yaml:"listeners" required:"true"`
	Handlers  v1HandlerSet  `yaml:"handlers" required:"true"`
}

type v1Listener struct {
	Name     string `yaml:"name" required:"true"`
	Protocol string `yaml:"protocol"`
	Address  string `yaml:"address"`
	Socket   string `yaml:"socket"`

	node *node
}

type v1Handler struct {
	Name        string         `yaml:"name" required:"true"`
	Type        string         `yaml:"type"`
	Listener    string         `yaml:"listener" required:"true"`
	Match       []string       `yaml:"match" single:"true"`
	Credentials []v1Credential `yaml:"credentials"`

	node *node
}

type v1Credential struct {
	Name     string `yaml:"name" required:"true"`
	Provider string `yaml:"provider" required:"true"`
	ID       string `yaml:"id"`
}

type (
	v1ListenerSet []v1Listener
	v1HandlerSet  []v1Handler
)

func (s *v1ListenerSet) decodeNode(d *decoder, n *node, key string) {
	*s = sections(d, n, key, func(l *v1Listener, n *node) { l.node = n })
}

func (s *v1HandlerSet) decodeNode(d *decoder, n *node, key string) {
	*s = sections(d, n, key, func(h *v1Handler, n *node) { h.node = n })
}

// sections decodes a list of maps whose places are needed later.
func sections[T any](d *decoder, n *node, key string, keep func(*T, *node)) []T {
	if n.kind != listNode {
		d.errorf(n.pos, "%s must be a list, not %s", key, n.describe())
		return nil
	}
	list := make([]T, len(n.items))
	for i, item := range n.items {
		d.value(item, reflect.ValueOf(&list[i]).Elem(), field{name: key + " entry"})
		keep(&list[i], item)
	}
	return list
}

// Convert rewrites a file of format v1 (listeners and handlers) as version 2, and
// a custom resource of the old broker as one of today's. The result means what
// the old broker made of the file, keeps its order and the comments above its
// sections, and passes Parse, but for host names, which only the machine that
// runs it can look up. notes say what was left out and what to look at, in the
// order of the file. The error is Errors.
func Convert(name string, data []byte) (v2 []byte, notes []string, err error) {
	r := &report{file: name}
	root := r.read(data)
	if root == nil {
		return nil, nil, r.errors.Err()
	}
	c := &conversion{report: r, names: map[string]bool{}}
	doc := c.document(root)
	if err := r.errors.Err(); err != nil {
		return nil, nil, err
	}
	v2, err = encode(doc)
	if err != nil {
		return nil, nil, err
	}
	if err := c.verify(v2); err != nil {
		return nil, nil, err
	}
	return v2, c.notes(), nil
}

// document is the new file; errors are in the report.
func (c *conversion) document(root *node) *yaml.Node {
	switch {
	case root.kind == mapNode && isResource(root):
		return c.resource(root)
	case root.kind != mapNode || !isV1(root):
		c.errorf(Pos{}, "this is not format v1, which has listeners and handlers; there is nothing to convert")
		return nil
	}
	return c.rewritten(root)
}

// rewritten is the new form of a map with listeners and handlers.
func (c *conversion) rewritten(root *node) *yaml.Node {
	d := &decoder{report: c.report, unknown: c.leftOut}
	var old v1File
	d.structure(root, reflect.ValueOf(&old).Elem(), "the file")
	services := c.services(old)
	doc := mapping(text("version"), &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: "2"},
		text("services"), mapping(services...))
	doc.Content[0].HeadComment = head(root)
	return doc
}

// conversion collects the services of the new file; its warnings are notes.
type conversion struct {
	*report
	names map[string]bool // of services
}

func (c *conversion) notes() []string {
	var notes []string
	for _, w := range c.warnings.sorted() {
		notes = append(notes, w.String())
	}
	return notes
}

// leftOut notes a key that the new format has no place for.
func (c *conversion) leftOut(e entry) {
	switch e.key {
	case "debug":
		c.warnf(e.pos, "debug is left out; start the broker with --log-level debug")
	case "caCertFiles":
		c.warnf(e.pos, "caCertFiles is left out: the old broker did not use it; give the CAs as credential sslrootcert")
	default:
		c.warnf(e.pos, "key %s is left out: it had no meaning", quote(e.key))
	}
}

// services pairs listeners with their handlers, as the old broker did: every
// handler of an HTTP listener, the first of any other.
func (c *conversion) services(old v1File) []*yaml.Node {
	var services []*yaml.Node
	listeners := map[string]bool{}
	for _, l := range old.Listeners {
		if listeners[l.Name] && l.Name != "" {
			c.errorf(l.node.pos, "listener %s is here twice", quote(l.Name))
		}
		listeners[l.Name] = true
		var linked []v1Handler
		for _, h := range old.Handlers {
			if h.Listener == l.Name {
				linked = append(linked, h)
			}
		}
		if len(linked) == 0 && l.Name != "" {
			c.errorf(l.node.pos, "listener %s has no handler; remove it", quote(l.Name))
		}
		if l.Protocol != "http" && len(linked) > 1 {
			for _, h := range linked[1:] {
				c.warnf(h.node.pos, "handler %s is left out: listener %s used its first handler, %s, alone", quote(h.Name), quote(l.Name), quote(linked[0].Name))
			}
			linked = linked[:1]
		}
		for _, h := range linked {
			services = append(services, c.service(l, h)...)
		}
	}
	for _, h := range old.Handlers {
		if h.Listener != "" && !listeners[h.Listener] {
			c.errorf(h.node.pos, "handler %s names the listener %s, which does not exist", quote(h.Name), quote(h.Listener))
		}
	}
	return services
}

// verify holds the result against the parser.
func (c *conversion) verify(v2 []byte) error {
	_, err := Parse(c.file+" (converted)", v2, Options{
		SharesListener: func(connector string) bool { return slices.Contains(httpConnectors(), connector) },
		Resolve:        anyName,
		LocalAddrs:     noAddrs,
	})
	if err != nil {
		c.errorf(Pos{}, "the converted file would have mistakes that come from this one:\n%v", err)
		return c.errors.Err()
	}
	return nil
}

// anyName and noAddrs stand for a machine that nothing is known about.
func anyName(context.Context, string) ([]netip.Addr, error) { return nil, nil }

func noAddrs() ([]netip.Addr, error) { return nil, nil }

func encode(doc *yaml.Node) ([]byte, error) {
	var w bytes.Buffer
	enc := yaml.NewEncoder(&w)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return nil, fmt.Errorf("write the converted file: %w", err)
	}
	return w.Bytes(), enc.Close()
}

// unique is name, with a number behind it where a service has it already.
func (c *conversion) unique(h v1Handler) string {
	name := h.Name
	for i := 2; c.names[name]; i++ {
		name = fmt.Sprintf("%s-%d", h.Name, i)
	}
	if name != h.Name {
		c.warnf(h.node.pos, "handler %s becomes service %s: another one has its name", quote(h.Name), quote(name))
	}
	c.names[name] = true
	return name
}

// text is a scalar that readers of YAML 1.1, too, take for text.
func text(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	switch strings.ToLower(s) {
	case "yes", "no", "on", "off", "y", "n":
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

func mapping(content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: content}
}

// head joins the comments above several things that become one.
func head(nodes ...*node) string {
	var lines []string
	for _, n := range nodes {
		comment := n.comment.head
		if comment == "" && len(n.entries) > 0 {
			comment = n.entries[0].comment.head
		}
		if comment != "" && !slices.Contains(lines, comment) {
			lines = append(lines, comment)
		}
	}
	return strings.Join(lines, "\n")
}
