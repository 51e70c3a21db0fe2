package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"secretless/internal/secret"
)

const (
	// maxNames and maxName bound what an error lists of a secret's fields.
	maxNames = 20
	maxName  = 64
)

// object is one level of a secret. Its parts are copies, to be wiped.
type object map[string]json.RawMessage

func parseObject(raw []byte) (object, bool) {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil || o == nil {
		o.wipe()
		return nil, false
	}
	return o, true
}

func (o object) wipe() {
	for _, part := range o {
		clear(part)
	}
}

// findField returns a field of data, which is a JSON object. A dot leads into
// an object, unless the whole name, dots included, is a field itself.
func findField(data []byte, field string) (secret.Value, error) {
	o, ok := parseObject(data)
	if !ok {
		return secret.Value{}, errors.New("the answer holds no secret")
	}
	defer o.wipe()
	if raw, ok := o[field]; ok {
		return text(raw, field)
	}
	for i := range len(field) {
		if field[i] != '.' {
			continue
		}
		if inner, ok := o[field[:i]]; ok {
			return findInner(inner, field[:i], field[i+1:])
		}
	}
	return secret.Value{}, fmt.Errorf("the secret has no field %s; %s", strconv.Quote(field), o.describe())
}

func findInner(raw []byte, name, rest string) (secret.Value, error) {
	if raw[0] != '{' {
		return secret.Value{}, fmt.Errorf("field %s is a single value, so it has no field %s", strconv.Quote(name), strconv.Quote(rest))
	}
	v, err := findField(raw, rest)
	if err != nil {
		return v, fmt.Errorf("in %s: %w", strconv.Quote(name), err)
	}
	return v, nil
}

// describe lists the names of the fields, never a value.
func (o object) describe() string {
	if len(o) == 0 {
		return "it has no fields at all"
	}
	names := slices.Sorted(maps.Keys(o))
	more := ""
	if len(names) > maxNames {
		more = fmt.Sprintf(" and %d more", len(names)-maxNames)
		names = names[:maxNames]
	}
	for i, name := range names {
		if len(name) > maxName {
			name = name[:maxName] + "…"
		}
		names[i] = strconv.Quote(name)
	}
	return "it has " + strings.Join(names, ", ") + more
}

// text is a field's value as bytes: a string as it is, numbers, true and false
// as they are written, a list of strings one a line (a certificate chain), and
// anything else as JSON.
func text(raw json.RawMessage, field string) (secret.Value, error) {
	switch raw[0] {
	case '"':
		return secret.New(unquote(raw)), nil
	case 'n':
		return secret.Value{}, fmt.Errorf("field %s is null", strconv.Quote(field))
	case '[':
		if lines, ok := joinStrings(raw); ok {
			return secret.New(lines), nil
		}
	}
	return secret.New(bytes.Clone(raw)), nil
}

func joinStrings(raw []byte) ([]byte, bool) {
	var parts []json.RawMessage
	if json.Unmarshal(raw, &parts) != nil || len(parts) == 0 {
		return nil, false
	}
	defer func() {
		for _, p := range parts {
			clear(p)
		}
	}()
	out := make([]byte, 0, len(raw))
	for i, p := range parts {
		if p[0] != '"' {
			clear(out)
			return nil, false
		}
		if i > 0 {
			out = append(out, '\n')
		}
		line := unquote(p)
		out = append(out, line...)
		clear(line)
	}
	return out, true
}
