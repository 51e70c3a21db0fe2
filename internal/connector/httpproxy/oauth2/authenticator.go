package oauth2

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/oauth2/jwt"

	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/connector/httpproxy/token"
	"secretless/internal/secret"
)

type authenticator struct {
	config Config
	client *http.Client
	tokens *token.Cache

	mu sync.Mutex
	// given is the refresh token that next stands for: servers may replace it
	// with every use, and then take the old one no more.
	given, next secret.Value
}

func newAuthenticator(c Config, s auth.Setup) *authenticator {
	a := &authenticator{config: c, client: s.Client}
	a.tokens = token.New(a.fetch)
	return a
}

// Authenticate sends a token that is kept, or fetches one.
func (a *authenticator) Authenticate(ctx context.Context, r *auth.Request) error {
	value, err := a.tokens.Get(ctx, r.Secrets())
	if err != nil {
		return err
	}
	r.Hide(value)
	return r.SetHeader(a.config.Header, strings.TrimLeft(a.config.Scheme+" "+value, " "))
}

// Renew gives up the token that the target did not take.
func (a *authenticator) Renew(_ context.Context, r *auth.Request) bool {
	sent := r.Header(a.config.Header)
	if len(sent) != 1 {
		return false
	}
	return a.tokens.Drop(strings.TrimPrefix(sent[0], a.config.Scheme+" "))
}

// Close ends fetches and wipes what is kept.
func (a *authenticator) Close() {
	a.tokens.Close()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.given.Wipe()
	a.next.Wipe()
}

// fetch asks the endpoint. One runs at a time for the same credentials.
func (a *authenticator) fetch(ctx context.Context, set *secret.Set) (token.Token, error) {
	t, full, err := token.Exchange(ctx, a.client, a.config.TokenURL, func(ctx context.Context) (*oauth2.Token, error) {
		return a.flow(ctx, set).Token()
	})
	if err == nil && a.config.Grant == refreshToken {
		a.keepRefresh(set, full.RefreshToken)
	}
	return t, err
}

func (a *authenticator) flow(ctx context.Context, set *secret.Set) oauth2.TokenSource {
	c := a.config
	id, clientSecret := set.Text("clientId", ""), set.Text("clientSecret", "")
	switch c.Grant {
	case refreshToken:
		config := oauth2.Config{
			ClientID: id, ClientSecret: clientSecret,
			Endpoint: oauth2.Endpoint{TokenURL: c.TokenURL, AuthStyle: style(c.ClientAuth)},
		}
		return config.TokenSource(ctx, &oauth2.Token{RefreshToken: a.currentRefresh(set)})
	case jwtBearer:
		issuer := c.Issuer
		if issuer == "" {
			issuer = id
		}
		config := jwt.Config{
			Email: issuer, Subject: c.Subject, PrivateKey: []byte(set.Text("privateKey", "")), PrivateKeyID: c.KeyID,
			Scopes: c.Scopes, TokenURL: c.TokenURL, Audience: c.Audience,
		}
		return config.TokenSource(ctx)
	}
	params := url.Values{}
	for name, value := range c.Params {
		params.Set(name, value)
	}
	if c.Audience != "" {
		params.Set("audience", c.Audience)
	}
	config := clientcredentials.Config{
		ClientID: id, ClientSecret: clientSecret, TokenURL: c.TokenURL, Scopes: c.Scopes,
		EndpointParams: params, AuthStyle: style(c.ClientAuth),
	}
	return config.TokenSource(ctx)
}

// style never leaves it to x/oauth2 to find out: that would send the secret in
// a way that nobody chose.
func style(name string) oauth2.AuthStyle {
	if name == "form" {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

// currentRefresh is the refresh token of the credentials, or what the server
// has put in its place since.
func (a *authenticator) currentRefresh(set *secret.Set) string {
	given, _ := set.Get("refreshToken")
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.next.Len() > 0 && a.given.Equal(given) {
		return string(a.next.Bytes())
	}
	return string(given.Bytes())
}

func (a *authenticator) keepRefresh(set *secret.Set, next string) {
	given, _ := set.Get("refreshToken")
	if next == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.given.Wipe()
	a.next.Wipe()
	a.given, a.next = given.Clone(), secret.Copy(next)
}
