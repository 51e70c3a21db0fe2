// Package gcp adds access or identity tokens of a Google Cloud service account
// to requests.
package gcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/connector/httpproxy/token"
	"secretless/internal/secret"
)

// allScopes stands for what the service account may do; its roles decide.
const allScopes = "https://www.googleapis.com/auth/cloud-platform"

// credential is the name of the key.
const credential = "serviceAccountKey"

// Config is the config section of a gcp service.
type Config struct {
	auth.Config
	Scopes   []string `yaml:"scopes" single:"true" doc:"scopes to ask for; https://www.googleapis.com/auth/cloud-platform when absent"`
	Audience string   `yaml:"audience" doc:"send an identity token for this audience (Cloud Run, IAP) in place of an access token"`
	Subject  string   `yaml:"subject" doc:"user to act for, with domain-wide delegation"`
	TokenURL string   `yaml:"tokenURL" doc:"token endpoint, where it is not the one of googleapis.com that the key names"`
}

// Definition is what httpproxy.Define makes a connector of.
func Definition() auth.Definition[Config] {
	return auth.Definition[Config]{
		Summary: "Google Cloud APIs with the key of a service account",
		Credentials: []connector.Credential{
			{Name: credential, Doc: "the key file of a service account, in JSON", Required: true, Secret: true},
		},
		New: build,
	}
}

func build(c Config, s auth.Setup) (auth.Authenticator, error) {
	var errs []error
	wrong := func(key, format string, args ...any) {
		errs = append(errs, &connector.FieldError{Path: []string{"config", key}, Err: fmt.Errorf(format, args...)})
	}
	if c.Audience != "" && len(c.Scopes) > 0 {
		wrong("audience", "an identity token has an audience and no scopes: remove one of the two")
	}
	if c.TokenURL != "" {
		if err := token.CheckURL(c.TokenURL); err != nil {
			wrong("tokenURL", "tokenURL %q: %w", c.TokenURL, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(c.Scopes) == 0 && c.Audience == "" {
		c.Scopes = []string{allScopes}
	}
	a := &authenticator{config: c, client: s.Client}
	a.tokens = token.New(a.fetch)
	return a, nil
}

type authenticator struct {
	config Config
	client *http.Client
	tokens *token.Cache
}

// Authenticate sends a token that is kept, or fetches one.
func (a *authenticator) Authenticate(ctx context.Context, r *auth.Request) error {
	value, err := a.tokens.Get(ctx, r.Secrets())
	if err != nil {
		return err
	}
	return r.SetHeader("Authorization", "Bearer "+value)
}

// Renew gives up the token that the target did not take.
func (a *authenticator) Renew(_ context.Context, r *auth.Request) bool {
	sent := r.Header("Authorization")
	return len(sent) == 1 && a.tokens.Drop(strings.TrimPrefix(sent[0], "Bearer "))
}

// Close ends fetches and forgets the token.
func (a *authenticator) Close() { a.tokens.Close() }

// keyFile is what is read of a key.
type keyFile struct {
	Type         string `json:"type"`
	ClientEmail  string `json:"client_email"`
	PrivateKeyID string `json:"private_key_id"`
	PrivateKey   string `json:"private_key"`
	TokenURI     string `json:"token_uri"`
}

func (a *authenticator) fetch(ctx context.Context, set *secret.Set) (token.Token, error) {
	key, err := readKey(set)
	if err != nil {
		return token.Token{}, err
	}
	endpoint, err := a.endpoint(key.TokenURI)
	if err != nil {
		return token.Token{}, err
	}
	config := jwt.Config{
		Email: key.ClientEmail, PrivateKey: []byte(key.PrivateKey), PrivateKeyID: key.PrivateKeyID,
		Subject: a.config.Subject, Scopes: a.config.Scopes, TokenURL: endpoint,
	}
	if a.config.Audience != "" {
		config.PrivateClaims = map[string]any{"target_audience": a.config.Audience}
		config.UseIDToken = true
	}
	t, _, err := token.Exchange(ctx, a.client, endpoint, func(ctx context.Context) (*oauth2.Token, error) {
		return config.TokenSource(ctx).Token()
	})
	return t, err
}

func readKey(set *secret.Set) (keyFile, error) {
	text, _ := set.Get(credential)
	var key keyFile
	switch err := json.Unmarshal(text.Bytes(), &key); {
	case err != nil: // it would quote the key
		return key, unusable("it is no JSON; give the key file as Google Cloud issued it")
	case key.Type != "service_account":
		return key, unusable(`its type is not "service_account"; other kinds of credentials are not supported`)
	case key.ClientEmail == "" || key.PrivateKey == "":
		return key, unusable("client_email or private_key is missing")
	}
	return key, nil
}

// endpoint is where the signed statement goes. A key that came from somebody
// else must not send it to somebody else's server.
func (a *authenticator) endpoint(named string) (string, error) {
	if a.config.TokenURL != "" {
		return a.config.TokenURL, nil
	}
	u, err := url.Parse(named)
	if err != nil || u.Scheme != "https" || u.User != nil || u.Port() != "" || !strings.HasSuffix(u.Hostname(), ".googleapis.com") {
		return "", unusable("its token_uri is not an https URL of googleapis.com; if it is right, write it as tokenURL in config")
	}
	return named, nil
}

func unusable(why string) error {
	return &connector.Failure{Kind: connector.KindConfig, Err: fmt.Errorf("the credential %q cannot be used: %s", credential, why)}
}
