// Package conjur adds Conjur's access token to requests for its API.
package conjur

import (
	"context"
	"encoding/base64"
	"errors"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
)

// Definition is what httpproxy.Define makes a connector of.
func Definition() auth.Definition[auth.Config] {
	return auth.Definition[auth.Config]{
		Summary: "Conjur's API with an access token",
		Credentials: []connector.Credential{
			{Name: "accessToken", Doc: "access token as Conjur issues it, in JSON", Required: true, Secret: true},
		},
		New: func(auth.Config, auth.Setup) (auth.Authenticator, error) { return authenticator{}, nil },
	}
}

type authenticator struct{}

// Authenticate sends the token in the form that Conjur's API documents.
func (authenticator) Authenticate(_ context.Context, r *auth.Request) error {
	token, _ := r.Secrets().Get("accessToken")
	if token.Len() == 0 {
		return &connector.Failure{Kind: connector.KindConfig, Err: errors.New(`the credential "accessToken" is empty`)}
	}
	encoded := base64.StdEncoding.EncodeToString(token.Bytes())
	r.Hide(encoded, token.Borrow())
	return r.SetHeader("Authorization", `Token token="`+encoded+`"`)
}
