// Package generic adds headers, query parameters or an OAuth 1.0a signature,
// described by templates over the credentials, to requests.
package generic

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
)

// Config is the config section of a generic_http service.
type Config struct {
	auth.Config
	Headers               map[string]string `yaml:"headers" doc:"headers to set: templates over the credentials, as in Bearer {{ .token }}"`
	QueryParams           map[string]string `yaml:"queryParams" doc:"query parameters to set, likewise"`
	OAuth1                *OAuth1           `yaml:"oauth1" doc:"sign requests with OAuth 1.0a (RFC 5849)"`
	CredentialValidations map[string]string `yaml:"credentialValidations" doc:"for credentials, a regular expression that the whole value must match"`
}

// OAuth1 says how to sign. All values but the method are templates.
type OAuth1 struct {
	ConsumerKey     string `yaml:"consumer_key" doc:"client identifier" required:"true" example:"\"{{ .consumer_key }}\""`
	ConsumerSecret  string `yaml:"consumer_secret" doc:"client secret; not for RSA-SHA1"`
	Token           string `yaml:"token" doc:"token identifier, where there is one"`
	TokenSecret     string `yaml:"token_secret" doc:"token secret, where there is one"`
	PrivateKey      string `yaml:"private_key" doc:"PEM text of the RSA key, for RSA-SHA1"`
	Realm           string `yaml:"realm" doc:"realm to name in the header"`
	SignatureMethod string `yaml:"signature_method" doc:"how to sign; PLAINTEXT only over https" enum:"HMAC-SHA1,HMAC-SHA256,RSA-SHA1,PLAINTEXT" default:"HMAC-SHA1"`
}

// Definition is what httpproxy.Define makes a connector of.
func Definition() auth.Definition[Config] {
	return auth.Definition[Config]{
		Summary:          "HTTP APIs that take credentials in headers, query parameters or OAuth 1.0a signatures",
		OtherCredentials: "value for templates",
		New:              build,
	}
}

func build(c Config, s auth.Setup) (auth.Authenticator, error) {
	b := builder{credentials: s.Credentials}
	a := &authenticator{
		headers: b.templates("headers", c.Headers),
		query:   b.templates("queryParams", c.QueryParams),
		rules:   b.rules(c.CredentialValidations),
	}
	b.headerNames(a.headers)
	if c.OAuth1 != nil {
		a.oauth1 = b.oauth1(*c.OAuth1)
		if slices.ContainsFunc(a.headers, func(h named) bool { return strings.EqualFold(h.name, "Authorization") }) {
			b.errorf("oauth1 writes the header Authorization, and so does headers: remove one", "oauth1")
		}
	}
	if len(c.Headers)+len(c.QueryParams) == 0 && c.OAuth1 == nil {
		b.errorf("nothing would be added to requests: give headers, queryParams or oauth1")
	}
	if err := errors.Join(b.errs...); err != nil {
		return nil, err
	}
	return a, nil
}

// builder collects everything that is wrong with a section.
type builder struct {
	credentials []string
	errs        []error
}

func (b *builder) errorf(text string, path ...string) {
	b.errs = append(b.errs, &connector.FieldError{Path: append([]string{"config"}, path...), Err: errors.New(text)})
}

// named is a header or query parameter with its value.
type named struct {
	name  string
	value template
}

func (b *builder) templates(key string, texts map[string]string) []named {
	var all []named
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if name == "" {
			b.errorf(key+" has an empty name", key)
			continue
		}
		t, err := parseTemplate(texts[name], b.credentials)
		if err != nil {
			b.errorf(fmt.Sprintf("%s %s: %v", key, name, err), key, name)
		}
		all = append(all, named{name, t})
	}
	return all
}

func (b *builder) headerNames(headers []named) {
	seen := map[string]string{}
	for _, h := range headers {
		fold := strings.ReplaceAll(strings.ToLower(h.name), "_", "-")
		switch {
		case !httpguts.ValidHeaderFieldName(h.name):
			b.errorf(fmt.Sprintf("headers: %q is no header name", h.name), "headers", h.name)
		case seen[fold] != "":
			b.errorf(fmt.Sprintf("headers: %s and %s are the same header", seen[fold], h.name), "headers", h.name)
		}
		seen[fold] = h.name
	}
}

// rule is a regular expression for the whole value of a credential.
type rule struct {
	credential string
	whole      *regexp.Regexp
}

func (b *builder) rules(texts map[string]string) []rule {
	var all []rule
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if !slices.Contains(b.credentials, name) {
			b.errorf(fmt.Sprintf("credentialValidations: the service has no credential %q", name), "credentialValidations", name)
		}
		// Alone first: what is wrong by itself could be right in a group.
		_, err := regexp.Compile(texts[name])
		if err != nil {
			b.errorf(fmt.Sprintf("credentialValidations %s: %v", name, err), "credentialValidations", name)
			continue
		}
		whole, err := regexp.Compile(`\A(?:` + texts[name] + `)\z`)
		if err != nil {
			b.errorf(fmt.Sprintf("credentialValidations %s: %v", name, err), "credentialValidations", name)
			continue
		}
		all = append(all, rule{name, whole})
	}
	return all
}
