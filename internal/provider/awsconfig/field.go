package awsconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"secretless/internal/secret"
)

// Reasons why a secret has no such field. They do not quote it.
var (
	ErrNotJSON = errors.New("the secret is no JSON object, so it has no fields; leave #field out to get all of it")
	errNull    = errors.New("is null")
	errText    = errors.New("is no valid Unicode text, so it would be changed by reading it")
)

const (
	// maxDepth bounds how many levels a path goes down.
	maxDepth = 32
	// maxNames and maxName bound what an error lists of an object.
	maxNames, maxName = 10, 40
)

// CheckField refuses a path that names nothing.
func CheckField(path string) error {
	parts := strings.Split(path, ".")
	switch {
	case path == "":
		return errors.New("# is followed by no field; write #name, or nothing for the whole secret")
	case len(parts) > maxDepth:
		return fmt.Errorf("field has more than %d levels", maxDepth)
	case !utf8.ValidString(path):
		return errors.New("field is no valid Unicode text")
	}
	return nil
}

// Field is the value that path ("a.b.c") leads to in a JSON document: text as
// it is, anything else as JSON. A key that has dots itself goes before the
// levels that they could mean.
func Field(document []byte, path string) (secret.Value, error) {
	object, err := members(document)
	if err != nil {
		return secret.Value{}, ErrNotJSON
	}
	at := ""
	for rest := path; ; {
		key, raw, ok := longest(object, rest)
		if !ok {
			return secret.Value{}, missing(at, rest, object)
		}
		if len(key) == len(rest) {
			v, err := scalar(raw)
			if err != nil {
				return secret.Value{}, fmt.Errorf("field %q %w", path, err)
			}
			return v, nil
		}
		at, rest = path[:len(path)-len(rest)+len(key)], rest[len(key)+1:]
		if object, err = members(raw); err != nil {
			return secret.Value{}, fmt.Errorf("field %q is no JSON object, so it has no field %q", at, rest)
		}
	}
}

func missing(at, rest string, object map[string]json.RawMessage) error {
	if at == "" {
		return fmt.Errorf("the secret has no field %q; %s", rest, names(object))
	}
	return fmt.Errorf("field %q has no field %q; %s", at, rest, names(object))
}

// names lists those of the fields, never a value.
func names(object map[string]json.RawMessage) string {
	if len(object) == 0 {
		return "it has no fields at all"
	}
	shown, more := slices.Sorted(maps.Keys(object)), ""
	if n := len(shown) - maxNames; n > 0 {
		shown, more = shown[:maxNames], fmt.Sprintf(" and %d more", n)
	}
	for i, name := range shown {
		if len(name) > maxName {
			name = strings.ToValidUTF8(name[:maxName], "") + "…"
		}
		shown[i] = strconv.Quote(name)
	}
	return "it has " + strings.Join(shown, ", ") + more
}

func members(document []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(document) {
		return nil, errText
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(document, &object); err != nil {
		return nil, err
	}
	if object == nil { // null
		return nil, errNull
	}
	return object, nil
}

// longest finds the longest key that path begins with, whole levels of it.
func longest(object map[string]json.RawMessage, path string) (string, json.RawMessage, bool) {
	for key := path; ; {
		if raw, ok := object[key]; ok {
			return key, raw, true
		}
		dot := strings.LastIndexByte(key, '.')
		if dot < 0 {
			return "", nil, false
		}
		key = key[:dot]
	}
}

func scalar(raw json.RawMessage) (secret.Value, error) {
	raw = bytes.TrimSpace(raw)
	switch {
	case string(raw) == "null":
		return secret.Value{}, errNull
	case raw[0] != '"':
		return secret.Copy(raw), nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return secret.Value{}, errText
	}
	// Half a surrogate pair becomes U+FFFD: another password than was meant.
	if n := strings.Count(text, "\ufffd"); n > 0 && n != strings.Count(string(raw), "\ufffd")+strings.Count(strings.ToLower(string(raw)), `\ufffd`) {
		return secret.Value{}, errText
	}
	return secret.Copy(text), nil
}
