package config

import (
	"reflect"

	"secretless/internal/secret"
)

// refSpec is the map form of a credential.
type refSpec struct {
	From string `yaml:"from" required:"true" example:"env" doc:"A built-in provider or a name from providers."`
	Get  string `yaml:"get" doc:"What to ask the provider for."`
}

// credentialList is credentials in file order.
type credentialList []Credential

func (l *credentialList) decodeNode(d *decoder, n *node, key string) {
	if n.isNull() {
		return
	}
	if n.kind != mapNode {
		d.errorf(n.pos, "%s must be a map from names to values, not %s", key, n.describe())
		return
	}
	for _, e := range n.entries {
		if e.key == "" {
			d.errorf(e.pos, "a credential needs a name")
			continue
		}
		if e.value.isNull() {
			d.warnf(e.pos, `credential %s has no value and counts as empty; write "" if that is meant`, quote(e.key))
		}
		*l = append(*l, d.credential(e))
	}
}

// credential reads one entry. Nothing it reports repeats a scalar, which may
// be the secret itself.
func (d *decoder) credential(e entry) Credential {
	n := e.value
	c := Credential{Name: e.key, Pos: e.pos, From: FromLiteral, FromPos: n.pos, ValuePos: n.pos}
	switch n.kind {
	case listNode:
		d.errorf(n.pos, "credential %s must be a value or a map of from and get, not a list", quote(e.key))
		c.Broken = true
	case scalarNode:
		if c.Broken = n.isBroken(); !c.Broken {
			c.Literal = secret.Copy(textOf(n))
		}
	case mapNode:
		d.ref(e, &c)
	}
	return c
}

// textOf is a scalar's text as written; none for null.
func textOf(n *node) string {
	if n.isNull() {
		return ""
	}
	return n.value
}

func (d *decoder) ref(e entry, c *Credential) {
	n := *e.value
	n.pos = e.pos
	var ref refSpec
	before := len(d.errors)
	d.structure(&n, reflect.ValueOf(&ref).Elem(), "credential "+quote(e.key))
	c.FromPos, c.ValuePos = n.locate(e.pos, []string{"from"}), n.locate(e.pos, []string{"get"})
	from, ok := n.get("from")
	if ok {
		c.FromPos = from.value.pos
	}
	get, ok := n.get("get")
	switch {
	case !ok && (n.lost || d.mistyped(&n, fieldsOf(reflect.TypeFor[refSpec]()), "get")):
	case !ok:
		d.errorf(e.pos, "get is missing; it says what to ask the provider for")
	case get.value.isNull():
		d.errorf(get.pos, `get is empty; write "" if that is meant`)
	}
	c.Broken = len(d.errors) > before || n.lost || from.value.isBroken() || get.value.isBroken()
	if c.Broken {
		return
	}
	c.From, c.ValuePos = ref.From, get.value.pos
	if c.From == FromLiteral {
		c.Literal = secret.Copy(ref.Get)
		return
	}
	c.Get = ref.Get
}

// keySpec is the private key of a listener: a path or a reference.
type keySpec struct{ credential Credential }

func (k *keySpec) decodeNode(d *decoder, n *node, key string) {
	e := entry{key: key, pos: n.pos, value: n}
	if n.kind != scalarNode {
		k.credential = d.credential(e)
		return
	}
	if !isAbsolute(n.value) { // the text may be the key itself, so it is not shown
		d.errorf(n.pos, "%s must be the absolute path of a PEM file, or a map of from and get", key)
	}
	k.credential = Credential{Name: key, Pos: n.pos, From: "file", Get: n.value, FromPos: n.pos, ValuePos: n.pos}
}
