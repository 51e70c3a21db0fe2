package generic

import (
	"errors"
	"fmt"
	"mime"
	"strings"
	"time"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/connector/httpproxy/oauth1"
)

// maxForm bounds a form, which the signature covers.
const maxForm = 1 << 20

// signing is the oauth1 section.
type signing struct {
	method                                              oauth1.Method
	consumerKey, consumerSecret, token, secret, private template
	realm                                               template
}

func (b *builder) oauth1(c OAuth1) *signing {
	s := &signing{method: oauth1.Method(c.SignatureMethod)}
	for _, f := range []struct {
		key, text string
		into      *template
	}{
		{"consumer_key", c.ConsumerKey, &s.consumerKey},
		{"consumer_secret", c.ConsumerSecret, &s.consumerSecret},
		{"token", c.Token, &s.token},
		{"token_secret", c.TokenSecret, &s.secret},
		{"private_key", c.PrivateKey, &s.private},
		{"realm", c.Realm, &s.realm},
	} {
		var err error
		if *f.into, err = parseTemplate(f.text, b.credentials); err != nil {
			b.errorf(fmt.Sprintf("oauth1 %s: %v", f.key, err), "oauth1", f.key)
		}
	}
	rsa := s.method == oauth1.RSASHA1
	if rsa && c.PrivateKey == "" {
		b.errorf("oauth1: RSA-SHA1 needs private_key", "oauth1")
	}
	if !rsa && c.ConsumerSecret == "" {
		b.errorf("oauth1: "+c.SignatureMethod+" needs consumer_secret", "oauth1")
	}
	return s
}

// sign adds the signature. It is the last that is added: it covers the query.
func (s *signing) sign(r *auth.Request) error {
	if s.method == oauth1.Plaintext && !r.To().Secure() {
		return &connector.Failure{Kind: connector.KindDenied, Err: errors.New("oauth1: PLAINTEXT sends the secrets themselves; use https or forceSSL")}
	}
	signer, err := s.signer(r)
	if err != nil {
		return unusable("oauth1: %w", err)
	}
	// What a client has sent of the protocol must not stand beside ours.
	if err := refuseOAuth(r); err != nil {
		return err
	}
	form, err := formOf(r)
	if err != nil {
		return err
	}
	header, err := signer.Sign(oauth1.Request{Method: r.Method(), URL: r.URL(), Form: form, Time: time.Now()})
	if err != nil {
		return unusable("oauth1: %w", err)
	}
	r.Hide(signer.ConsumerSecret, signer.TokenSecret)
	return r.SetHeader("Authorization", header)
}

func (s *signing) signer(r *auth.Request) (oauth1.Signer, error) {
	signer := oauth1.Signer{Method: s.method}
	for _, f := range []struct {
		from template
		into *string
	}{
		{s.consumerKey, &signer.ConsumerKey},
		{s.consumerSecret, &signer.ConsumerSecret},
		{s.token, &signer.Token},
		{s.secret, &signer.TokenSecret},
		{s.realm, &signer.Realm},
	} {
		var err error
		if *f.into, err = f.from.render(r.Secrets()); err != nil {
			return signer, err
		}
	}
	if s.method != oauth1.RSASHA1 {
		return signer, nil
	}
	// PEM has line breaks, which a header value could not have.
	text, err := s.private.text(r.Secrets())
	if err != nil {
		return signer, err
	}
	signer.PrivateKey, err = oauth1.ParseKey([]byte(text))
	return signer, err
}

func refuseOAuth(r *auth.Request) error {
	for pair := range strings.SplitSeq(r.URL().RawQuery, "&") {
		if strings.HasPrefix(strings.ToLower(pair), "oauth_") {
			return &connector.Failure{Kind: connector.KindDenied, Err: errors.New("oauth1: the query has parameters of OAuth (oauth_…); the client must not sign, the broker does")}
		}
	}
	return nil
}

// formOf is the body where the signature covers it (RFC 5849, 3.4.1.3.1).
func formOf(r *auth.Request) (string, error) {
	types := r.Header("Content-Type")
	if len(types) != 1 {
		return "", nil
	}
	if kind, _, err := mime.ParseMediaType(types[0]); err != nil || kind != "application/x-www-form-urlencoded" {
		return "", nil
	}
	body, err := r.Body(maxForm)
	return string(body), err
}
