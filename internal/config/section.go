package config

import (
	"errors"
	"reflect"
)

// Section is a part of the file that its owner decodes: the config of a
// connector or the settings of a provider. The zero Section is empty.
type Section struct {
	file     string
	node     *node
	siblings []string
}

// errDecodeTarget is a programming error.
var errDecodeTarget = errors.New("a section decodes into a pointer to a struct")

// Decode fills into, a pointer to a struct with yaml tags, applies the
// defaults of its tags and refuses unknown keys. The error is Errors: every
// mistake of the section with its place.
//
// Besides the plain types, time.Duration, secret.Value, encoding.TextUnmarshaler
// and ScalarUnmarshaler are understood. The tags doc, default ("10s"), enum
// ("a,b"), required ("true"), example and single ("true": one scalar for a
// list of one) describe a key, to the decoder and to the JSON Schema alike.
func (s Section) Decode(into any) error { return s.DecodeSecrets(into, nil) }

// CredentialSetting is implemented by the type of a setting that is a secret:
// its notation is a credential's, a scalar or {from, get}.
type CredentialSetting interface{ CredentialSetting() }

// DecodeSecrets is Decode for a section whose owner has settings that are
// secrets: bind is told each that the file has, and where it comes from. A
// literal of it belongs to bind.
func (s Section) DecodeSecrets(into any, bind func(CredentialSetting, Credential)) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return errDecodeTarget
	}
	n := s.node
	if n == nil {
		n = &node{kind: mapNode}
	}
	d := &decoder{report: &report{file: s.file}, siblings: s.siblings, bind: bind}
	d.structure(n, v.Elem(), "config")
	return d.errors.Err()
}

// Secrets are the settings that are secrets, in a section that decodes into the
// type of like: a dry run of DecodeSecrets, whose mistakes that will report.
// The literals belong to the caller.
func (s Section) Secrets(like any) []Credential {
	t := reflect.TypeOf(like)
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	var found []Credential
	_ = s.DecodeSecrets(reflect.New(t).Interface(), func(_ CredentialSetting, c Credential) { found = append(found, c) })
	return found
}

// Empty says whether the section has no keys.
func (s Section) Empty() bool { return s.node == nil || len(s.node.entries) == 0 }

// Keys are the section's keys in file order.
func (s Section) Keys() []string {
	if s.node == nil {
		return nil
	}
	keys := make([]string, len(s.node.entries))
	for i, e := range s.node.entries {
		keys[i] = e.key
	}
	return keys
}

// decodeNode keeps the section for its owner.
func (s *Section) decodeNode(d *decoder, n *node, key string) {
	if n.isNull() {
		return
	}
	if n.kind != mapNode {
		d.errorf(n.pos, "%s must be a map of keys, not %s", key, n.describe())
		return
	}
	*s = Section{file: d.file, node: n}
}
