package config

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// versionSpec accepts what the old broker accepted, and v2.
type versionSpec struct{}

func (*versionSpec) decodeNode(d *decoder, n *node, _ string) {
	if n.kind != scalarNode || n.value != "2" && n.value != "v2" {
		d.errorf(n.pos, `version must be "2"`)
	}
}

// absolutePath is a path that does not depend on the working directory.
type absolutePath struct {
	path string
	pos  Pos
}

func (p *absolutePath) decodeNode(d *decoder, n *node, key string) {
	p.pos = n.pos
	switch {
	case n.kind != scalarNode:
		d.errorf(n.pos, "%s must be a path, not %s", key, n.describe())
	case !isAbsolute(n.value):
		d.errorf(n.pos, "%s must be an absolute path, not %s", key, quote(n.value))
	default:
		p.path = n.value
	}
}

// isAbsolute accepts the forms of every platform: a file may be checked on
// another machine than it is used on.
func isAbsolute(p string) bool {
	windows := len(p) > 2 && p[1] == ':' && (p[2] == '\\' || p[2] == '/')
	return (path.IsAbs(p) || windows) && !strings.ContainsRune(p, 0)
}

// modeSpec is octal however it is written: "0660", 0660 (YAML 1.1) or 0o660
// (YAML 1.2).
type modeSpec fs.FileMode

func (m *modeSpec) decodeNode(d *decoder, n *node, key string) {
	digits := n.value
	octal := n.tag == "!!str" || strings.HasPrefix(digits, "0")
	digits = strings.TrimPrefix(digits, "0o")
	bits, err := strconv.ParseUint(digits, 8, 32)
	switch {
	case n.kind != scalarNode:
		d.errorf(n.pos, `%s must be octal permission bits such as "0660", not %s`, key, n.describe())
	case err == nil && !octal:
		d.errorf(n.pos, `%s %s is a decimal number; write "0%s" for the octal one`, key, n.value, n.value)
	case err != nil:
		d.errorf(n.pos, `%s must be octal permission bits such as "0660", not %s`, key, quote(n.value))
	case bits > 0o777:
		d.errorf(n.pos, `%s %s has more than permission bits; the most is "0777"`, key, quote(n.value))
	default:
		*m = modeSpec(bits)
	}
}

// healthSpec is an address or off.
type healthSpec struct {
	listen *Listen
	off    bool
}

func (h *healthSpec) decodeNode(d *decoder, n *node, key string) {
	if isOff(n) {
		h.off = true
		return
	}
	l, ok := d.listen(n, key)
	if ok && l.Network == "systemd" {
		d.errorf(n.pos, "%s must be tcp://host:port or unix:///path", key)
	}
	h.listen = &l
}

// isOff is true for off, which YAML 1.1 also calls false.
func isOff(n *node) bool {
	return n.kind == scalarNode && (n.value == "off" || n.tag == "!!bool" && strings.EqualFold(n.value, "false"))
}

// socketAddr is the address of a unix socket, or off.
type socketAddr struct {
	listen *Listen
	off    bool
}

func (s *socketAddr) decodeNode(d *decoder, n *node, key string) {
	if isOff(n) {
		s.off = true
		return
	}
	l, ok := d.listen(n, key)
	if ok && l.Network != "unix" {
		d.errorf(n.pos, "%s must be unix:///path: it can stop and reload the broker", key)
	}
	s.listen = &l
}
