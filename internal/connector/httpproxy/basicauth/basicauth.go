// Package basicauth adds HTTP Basic authentication (RFC 7617) to requests.
package basicauth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
)

// Definition is what httpproxy.Define makes a connector of.
func Definition() auth.Definition[auth.Config] {
	return auth.Definition[auth.Config]{
		Summary: "HTTP APIs with Basic authentication",
		Credentials: []connector.Credential{
			{Name: "username", Doc: "user name, without a colon", Required: true, Check: checkUsername},
			{Name: "password", Doc: "password", Required: true, Secret: true},
		},
		New: func(auth.Config, auth.Setup) (auth.Authenticator, error) { return authenticator{}, nil },
	}
}

func checkUsername(name string) error {
	if strings.Contains(name, ":") {
		return errors.New("a user name with a colon cannot be sent: the first colon ends it")
	}
	return checkText(name)
}

// checkText refuses what RFC 7617 does, most often the line break at the end
// of a file.
func checkText(text string) error {
	if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return errors.New("it has a line break or another control character")
	}
	return nil
}

type authenticator struct{}

// Authenticate sends username and password, whatever the client sent.
func (authenticator) Authenticate(_ context.Context, r *auth.Request) error {
	username, _ := r.Secrets().Get("username")
	password, _ := r.Secrets().Get("password")
	if err := checkUsername(username.Borrow()); err != nil {
		return unusable("username", err)
	}
	if err := checkText(password.Borrow()); err != nil {
		return unusable("password", err)
	}
	r.Hide(password.Borrow())
	pair := fmt.Appendf(nil, "%s:%s", username.Bytes(), password.Bytes())
	defer clear(pair)
	return r.SetHeader("Authorization", "Basic "+base64.StdEncoding.EncodeToString(pair))
}

func unusable(name string, why error) error {
	return &connector.Failure{Kind: connector.KindConfig, Err: fmt.Errorf("the credential %q cannot be used: %w", name, why)}
}
