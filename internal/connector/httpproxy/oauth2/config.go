// Package oauth2 fetches OAuth 2.0 access tokens (RFC 6749, RFC 7523) and adds
// them to requests.
package oauth2

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/connector/httpproxy/token"
)

// The grants, as the configuration spells them.
const (
	clientCredentials = "client_credentials"
	refreshToken      = "refresh_token"
	jwtBearer         = "jwt_bearer"
)

// Config is the config section of an oauth2 service.
type Config struct {
	auth.Config
	TokenURL   string            `yaml:"tokenURL" doc:"token endpoint: https, or http on this machine" required:"true" example:"https://login.example.com/oauth/token"`
	Grant      string            `yaml:"grant" doc:"how to ask for tokens" enum:"client_credentials,refresh_token,jwt_bearer" default:"client_credentials"`
	Scopes     []string          `yaml:"scopes" single:"true" doc:"scopes to ask for"`
	Audience   string            `yaml:"audience" doc:"client_credentials: the parameter audience; jwt_bearer: the claim aud, by default the token endpoint"`
	Params     map[string]string `yaml:"params" doc:"more parameters for the token endpoint, for client_credentials"`
	ClientAuth string            `yaml:"clientAuth" doc:"where the client's id and secret go: the header Authorization, or the form" enum:"header,form" default:"header"`
	Issuer     string            `yaml:"issuer" doc:"jwt_bearer: the claim iss, by default clientId"`
	Subject    string            `yaml:"subject" doc:"jwt_bearer: the claim sub"`
	KeyID      string            `yaml:"keyId" doc:"jwt_bearer: which key signs, the header kid"`
	Header     string            `yaml:"header" doc:"header that takes the token" default:"Authorization"`
	Scheme     string            `yaml:"scheme" doc:"what stands before the token; empty for nothing" default:"Bearer"`
}

// Definition is what httpproxy.Define makes a connector of.
func Definition() auth.Definition[Config] {
	return auth.Definition[Config]{
		Summary: "HTTP APIs with OAuth 2.0: client credentials, refresh tokens, JWT bearer",
		Credentials: []connector.Credential{
			{Name: "clientId", Doc: "the client's id", Required: true},
			{Name: "clientSecret", Doc: "the client's secret", Secret: true},
			{Name: "refreshToken", Doc: "refresh token, for that grant", Secret: true},
			{Name: "privateKey", Doc: "PEM text of the RSA key that signs, for jwt_bearer", Secret: true},
		},
		New: build,
	}
}

func build(c Config, s auth.Setup) (auth.Authenticator, error) {
	var errs []error
	wrong := func(key, format string, args ...any) {
		errs = append(errs, &connector.FieldError{Path: []string{"config", key}, Err: fmt.Errorf(format, args...)})
	}
	if err := token.CheckURL(c.TokenURL); err != nil {
		wrong("tokenURL", "tokenURL %q: %w", c.TokenURL, err)
	}
	if name := needs(c.Grant); !slices.Contains(s.Credentials, name) {
		wrong("grant", "the grant %s needs the credential %q", c.Grant, name)
	}
	if !httpguts.ValidHeaderFieldName(c.Header) {
		wrong("header", "header %q is no header name", c.Header)
	}
	if !httpguts.ValidHeaderFieldValue(c.Scheme) || strings.ContainsAny(c.Scheme, " \t") {
		wrong("scheme", "scheme %q is no single word", c.Scheme)
	}
	reserved := []string{"grant_type", "client_id", "client_secret", "scope", "audience", "refresh_token", "assertion"}
	for _, name := range slices.Sorted(maps.Keys(c.Params)) {
		if slices.Contains(reserved, name) {
			wrong("params", "params: %s is set by the other keys", name)
		}
	}
	if c.Grant != clientCredentials && len(c.Params) > 0 {
		wrong("params", "params are for the grant %s", clientCredentials)
	}
	if c.Grant == refreshToken && len(c.Scopes)+len(c.Audience) > 0 {
		wrong("grant", "a refresh token carries its scopes and audience: remove scopes and audience")
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return newAuthenticator(c, s), nil
}

// needs is the credential that a grant cannot do without, besides clientId.
func needs(grant string) string {
	switch grant {
	case refreshToken:
		return "refreshToken"
	case jwtBearer:
		return "privateKey"
	}
	return "clientSecret"
}
