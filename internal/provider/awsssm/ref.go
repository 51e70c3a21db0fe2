package awsssm

import (
	"errors"
	"fmt"
	"strings"

	"secretless/internal/provider/awsconfig"
)

// maxName is what the service accepts for a name or an ARN.
const maxName = 2048

// ref is an id of ours: name-or-ARN[:version|:label][#field[.sub…]].
type ref struct {
	name   string // as the service is asked
	base   string // the same without version or label
	region string // of the ARN; empty for a name
	field  string // empty for the whole value
}

func parse(text string) (ref, error) {
	name, field, hasField := strings.Cut(text, "#")
	r := ref{name: name, base: name, field: field}
	if err := r.readName(); err != nil {
		return ref{}, err
	}
	if hasField {
		return r, awsconfig.CheckField(field)
	}
	return r, nil
}

func checkRef(text string) error {
	_, err := parse(text)
	return err
}

func (r *ref) readName() error {
	switch {
	case r.name == "":
		return errors.New("name of the parameter is empty")
	case len(r.name) > maxName:
		return fmt.Errorf("name of the parameter has more than %d bytes", maxName)
	}
	prefix, name := "", r.name
	if strings.HasPrefix(r.name, "arn:") {
		a, ok := awsconfig.ParseARN(r.name, "ssm")
		inner, isParameter := strings.CutPrefix(a.Resource, "parameter")
		if !ok || !isParameter || !strings.HasPrefix(inner, "/") {
			return errors.New("this is no ARN of a parameter; write one such as arn:aws:ssm:eu-west-1:123456789012:parameter/prod/orders/password")
		}
		prefix, name, r.region = strings.TrimSuffix(r.name, inner), inner, a.Region
	}
	name, selector, hasSelector := strings.Cut(name, ":")
	if hasSelector && (selector == "" || strings.ContainsFunc(selector, notInName)) {
		return errors.New("after : stands the version or a label of the parameter")
	}
	if name == "" || strings.ContainsFunc(name, notInName) {
		return errors.New("names of parameters consist of letters, digits and _.-/ ; a field is written as name#field")
	}
	r.base = prefix + name
	return nil
}

// notInName is true for what the service does not allow in names.
func notInName(c rune) bool {
	letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	return !letter && !strings.ContainsRune("_.-/", c)
}
