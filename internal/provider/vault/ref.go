package vault

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// defaultField is what an id without #field means.
const defaultField = "value"

// ref is a parsed id: path[?name=value&…][#field[.sub…]].
type ref struct {
	path string
	// params are sent along: version to a KV v2 engine; any others make the
	// lookup a write, which is how engines take them (PKI, AWS STS).
	params url.Values
	field  string // empty: the default
}

func parseRef(id string) (ref, error) {
	location, field, named := strings.Cut(id, "#")
	path, query, _ := strings.Cut(location, "?")
	path = strings.Trim(path, "/")
	switch {
	case path == "":
		return ref{}, errors.New("get has no path: write path#field, for instance secret/orders-db#password")
	case named && field == "":
		return ref{}, errors.New("get ends with #: write the field's name after it, or leave it out for the field value")
	case strings.Contains(field, "?"):
		return ref{}, errors.New("get has a ? after the #: parameters stand before it, for instance secret/orders-db?version=3#password")
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return ref{}, fmt.Errorf("path of get has the segment %q", segment)
		}
	}
	params, err := parseParams(query)
	return ref{path, params, field}, err
}

func parseParams(query string) (url.Values, error) {
	if query == "" {
		return nil, nil
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("parameters of get are not of the form name=value&name=value")
	}
	for name, values := range params {
		if name == "" || len(values) != 1 {
			return nil, fmt.Errorf("parameter %q of get must have a name and one value", name)
		}
	}
	return params, nil
}

// key is the same for ids that are read together.
func (r ref) key() string {
	if len(r.params) == 0 {
		return r.path
	}
	return r.path + "?" + r.params.Encode()
}

// writes tells whether the params make the lookup a write.
func (r ref) writes() bool {
	for name := range r.params {
		if name != "version" {
			return true
		}
	}
	return false
}
