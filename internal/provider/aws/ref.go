package aws

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"secretless/internal/provider/awsconfig"
)

// maxSecretID is what the service accepts.
const maxSecretID = 2048

// currentStage is what the service reads where nothing else is said.
const currentStage = "AWSCURRENT"

// version is what one call of GetSecretValue reads.
type version struct {
	secret string // name or ARN
	stage  string // at most one of stage and id is set
	id     string
}

// ref is an id of ours: name-or-ARN[?stage=…|?version=…][#field[.sub…]].
type ref struct {
	version
	region string // of the ARN; empty for a name
	field  string // empty for the whole secret
}

func parse(text string) (ref, error) {
	rest, field, hasField := strings.Cut(text, "#")
	name, query, hasQuery := strings.Cut(rest, "?")
	r := ref{version: version{secret: name}, field: field}
	if err := r.checkSecret(); err != nil {
		return ref{}, err
	}
	if hasQuery {
		if err := r.readQuery(query); err != nil {
			return ref{}, err
		}
	}
	if !hasField {
		return r, nil
	}
	if strings.Contains(field, "?stage=") || strings.Contains(field, "?version=") {
		return ref{}, errors.New("?stage= and ?version= stand before #field: name?stage=AWSPREVIOUS#field")
	}
	return r, awsconfig.CheckField(field)
}

func checkRef(text string) error {
	_, err := parse(text)
	return err
}

func (r *ref) checkSecret() error {
	name := r.secret
	switch {
	case name == "":
		return errors.New("name of the secret is empty")
	case len(name) > maxSecretID:
		return fmt.Errorf("name of the secret has more than %d bytes", maxSecretID)
	}
	if strings.HasPrefix(name, "arn:") {
		a, ok := awsconfig.ParseARN(name, "secretsmanager")
		inner, isSecret := strings.CutPrefix(a.Resource, "secret:")
		if !ok || !isSecret || inner == "" {
			return errors.New("this is no ARN of a secret; write one such as arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/orders-a1b2c3")
		}
		if strings.Contains(inner, ":") {
			return errors.New("what follows the secret's name in the ARN is written as ?stage=…, ?version=… and #field here")
		}
		name, r.region = inner, a.Region
	}
	if strings.ContainsFunc(name, notInName) {
		return errors.New("names of secrets consist of letters, digits and /_+=.@- ; a field is written as name#field")
	}
	return nil
}

// notInName is true for what the service does not allow in names.
func notInName(c rune) bool {
	letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	return !letter && !strings.ContainsRune("/_+=.@-!", c)
}

func (r *ref) readQuery(query string) error {
	const usage = "after ? stands stage=… or version=…, one of them"
	key, value, _ := strings.Cut(query, "=")
	value, err := url.QueryUnescape(strings.ReplaceAll(value, "+", "%2B"))
	if err != nil || value == "" || len(value) > 256 || strings.ContainsAny(value, "&\x00") {
		return errors.New(usage)
	}
	switch key {
	case "stage":
		if value != currentStage { // as without it, so that it is read together with ids that leave it out
			r.stage = value
		}
	case "version":
		r.id = value
	default:
		return errors.New(usage)
	}
	return nil
}
