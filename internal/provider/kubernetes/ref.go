package kubernetes

import (
	"errors"
	"fmt"
	"strings"
)

// ref is an id taken apart.
type ref struct {
	namespace string // empty for the instance's own
	secret    string
	field     string
}

// What an id looks like, for errors.
const refForm = "secret#field or namespace/secret#field"

// The bounds of Kubernetes' own names.
const (
	maxLabel     = 63
	maxSubdomain = 253
)

// parseRef reads an id. What it accepts can stand in a URL path as it is.
func parseRef(id string) (ref, error) {
	name, field, ok := strings.Cut(id, "#")
	if !ok {
		return ref{}, fmt.Errorf("the field is missing: write %s", refForm)
	}
	r := ref{secret: name, field: field}
	if namespace, rest, ok := strings.Cut(name, "/"); ok {
		if err := checkNamespace(namespace); err != nil {
			return ref{}, err
		}
		r.namespace, r.secret = namespace, rest
	}
	switch {
	case !isSubdomain(r.secret):
		return ref{}, fmt.Errorf("%q is no name of a secret: lower case letters, digits, - and . (write %s)", r.secret, refForm)
	case field == "":
		return ref{}, fmt.Errorf("the field is empty: write %s", refForm)
	case !isKey(field):
		return ref{}, fmt.Errorf("%q is no name of a field: letters, digits and any of . - _", field)
	}
	return r, nil
}

func checkNamespace(s string) error {
	if !isLabel(s) {
		return fmt.Errorf("%q is no name of a namespace: lower case letters, digits and -", s)
	}
	return nil
}

func checkRef(id string) error {
	if id == "" {
		return errors.New("id is empty: write " + refForm)
	}
	_, err := parseRef(id)
	return err
}

// isLabel is RFC 1123's label, as Kubernetes has it.
func isLabel(s string) bool {
	return len(s) <= maxLabel && isSubdomain(s) && !strings.Contains(s, ".")
}

// isSubdomain is RFC 1123's subdomain: labels between dots, here of any length.
func isSubdomain(s string) bool {
	if s == "" || len(s) > maxSubdomain {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

func isKey(s string) bool {
	if s == "." || s == ".." || len(s) > maxSubdomain {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}
