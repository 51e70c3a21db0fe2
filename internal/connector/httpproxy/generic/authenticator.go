package generic

import (
	"context"
	"fmt"
	"strings"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
)

type authenticator struct {
	headers []named
	query   []named
	rules   []rule
	oauth1  *signing
}

// Authenticate sets what the configuration describes.
func (a *authenticator) Authenticate(_ context.Context, r *auth.Request) error {
	for _, rule := range a.rules {
		if v, _ := r.Secrets().Get(rule.credential); !rule.whole.Match(v.Bytes()) {
			return unusable("the credential %q does not match what credentialValidations asks for", rule.credential)
		}
	}
	for _, h := range a.headers {
		value, err := h.value.render(r.Secrets())
		if err != nil {
			return unusable("header %s: %w", h.name, err)
		}
		hide(r, h.value)
		if err := r.SetHeader(h.name, value); err != nil {
			return err
		}
	}
	for _, q := range a.query {
		value, err := q.value.render(r.Secrets())
		if err != nil {
			return unusable("query parameter %s: %w", q.name, err)
		}
		hide(r, q.value)
		r.SetQuery(q.name, value)
	}
	if a.oauth1 != nil {
		return a.oauth1.sign(r)
	}
	return nil
}

// hide keeps the credentials of a template from the client on their own too:
// a target may echo what it has decoded.
func hide(r *auth.Request, t template) {
	for _, name := range t.uses {
		if v, ok := r.Secrets().Get(name); ok && !isPublic(name) {
			r.Hide(v.Borrow())
		}
	}
}

// isPublic are credentials that say who rather than prove it. APIs repeat them
// in answers, where a client needs them.
func isPublic(name string) bool {
	switch strings.ToLower(name) {
	case "user", "username", "login", "email", "account":
		return true
	}
	return false
}

func unusable(format string, args ...any) error {
	return &connector.Failure{Kind: connector.KindConfig, Err: fmt.Errorf(format, args...)}
}
