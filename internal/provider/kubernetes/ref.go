package kubernetes

import (
	"errors"
	"fmt"
	"strings"

	"secretless/internal/kubeapi"
)

// ref is an id taken apart.
type ref struct {
	namespace string // empty for the instance's own
	secret    string
	field     string
}

// What an id looks like, for errors.
const refForm = "secret#field or namespace/secret#field"

// maxKey is Kubernetes' own bound of a field's name.
const maxKey = 253

// parseRef reads an id. What it accepts can stand in a URL path as it is.
func parseRef(id string) (ref, error) {
	name, field, ok := strings.Cut(id, "#")
	if !ok {
		return ref{}, fmt.Errorf("the field is missing: write %s", refForm)
	}
	r := ref{secret: name, field: field}
	if namespace, rest, ok := strings.Cut(name, "/"); ok {
		if err := kubeapi.CheckNamespace(namespace); err != nil {
			return ref{}, err
		}
		r.namespace, r.secret = namespace, rest
	}
	switch {
	case !kubeapi.IsName(r.secret):
		return ref{}, fmt.Errorf("%q is no name of a secret: lower case letters, digits, - and . (write %s)", r.secret, refForm)
	case field == "":
		return ref{}, fmt.Errorf("the field is empty: write %s", refForm)
	case !isKey(field):
		return ref{}, fmt.Errorf("%q is no name of a field: letters, digits and any of . - _", field)
	}
	return r, nil
}

func checkRef(id string) error {
	if id == "" {
		return errors.New("id is empty: write " + refForm)
	}
	_, err := parseRef(id)
	return err
}

func isKey(s string) bool {
	if s == "." || s == ".." || len(s) > maxKey {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}
