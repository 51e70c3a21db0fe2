package conjur

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"secretless/internal/secret"
)

// authenticate logs in and brings a token.
func (s *session) authenticate(ctx context.Context) (*token, error) {
	switch {
	case s.id.APIKey.IsSet() || s.id.apiKey != "" && s.id.Login != "":
		return s.byKey(ctx)
	case s.id.TokenFile != "":
		return s.byFile()
	case s.id.JWTServiceID != "" || kindOf(s.id.AuthnURL) == "authn-jwt":
		return s.byJWT(ctx)
	case kindOf(s.id.AuthnURL) == "authn-k8s":
		return s.byPod(ctx)
	case s.id.AuthnURL != "":
		return nil, because("CONJUR_AUTHN_URL is that of no authenticator that the broker knows: authn-jwt and authn-k8s")
	}
	return s.byNetrc(ctx)
}

// byKey tries a key that another provider gives once more, fresh, when Conjur
// refuses it: it may have been rotated.
func (s *session) byKey(ctx context.Context) (*token, error) {
	if !s.id.APIKey.IsSet() {
		return s.login(ctx, s.id.Login, strings.NewReader(s.id.apiKey))
	}
	key, err := s.id.APIKey.Get(ctx)
	if err != nil {
		return nil, &reason{err: err}
	}
	defer key.Wipe()
	t, err := s.login(ctx, s.id.Login, bytes.NewReader(key.Bytes()))
	if !isDenied(err) {
		return t, err
	}
	s.id.APIKey.Forget()
	again, getErr := s.id.APIKey.Get(ctx)
	if getErr != nil || again.Equal(key) {
		again.Wipe()
		return nil, err
	}
	defer again.Wipe()
	return s.login(ctx, s.id.Login, bytes.NewReader(again.Bytes()))
}

// byNetrc uses what the Conjur command line has left at its login.
func (s *session) byNetrc(ctx context.Context) (*token, error) {
	none := because("there is no way to log in: set CONJUR_AUTHN_LOGIN and CONJUR_AUTHN_API_KEY, CONJUR_AUTHN_TOKEN_FILE or CONJUR_AUTHN_URL, or log in with: conjur login")
	if s.id.netrc == "" {
		return nil, none
	}
	b, err := readFile(s.id.netrc)
	if err != nil {
		return nil, none
	}
	defer clear(b)
	login, password, err := findNetrc(string(b), strings.TrimSuffix(s.id.ApplianceURL, "/")+"/authn")
	if err != nil {
		return nil, because("%s %w", s.id.netrc, err)
	}
	if login == "" || password == "" {
		return nil, because("%s has no login for this Conjur; log in with: conjur login", s.id.netrc)
	}
	return s.login(ctx, login, strings.NewReader(password))
}

// login is the authenticator with API keys.
func (s *session) login(ctx context.Context, login string, key io.Reader) (*token, error) {
	address := s.id.base + "/authn/" + escape(s.id.Account) + "/" + escape(login) + "/authenticate"
	return s.ask(ctx, s.client, address, "text/plain", key,
		"Conjur does not accept login and API key; check both, the account, and restricted_to of the host")
}

// byJWT shows a JWT that somebody else has issued. One that another provider
// gives may have been kept too long: it is fetched anew when Conjur refuses it.
func (s *session) byJWT(ctx context.Context) (*token, error) {
	jwt, err := s.jwt(ctx)
	if err != nil {
		return nil, err
	}
	defer jwt.Wipe()
	t, err := s.showJWT(ctx, jwt)
	if !isDenied(err) || !s.id.JWT.IsSet() {
		return t, err
	}
	s.id.JWT.Forget()
	again, getErr := s.jwt(ctx)
	defer again.Wipe()
	if getErr != nil || again.Equal(jwt) {
		return nil, err
	}
	return s.showJWT(ctx, again)
}

func (s *session) showJWT(ctx context.Context, jwt secret.Value) (*token, error) {
	address, host := s.id.base+"/authn-jwt/"+escape(s.id.JWTServiceID), s.id.JWTHostID
	if s.id.JWTServiceID == "" {
		var err error
		if address, err = authenticatorURL(s.id.AuthnURL, s.id.base); err != nil {
			return nil, because("%w", err)
		}
		host = s.id.Login
	}
	first(&host, s.id.JWTHostID)
	address += "/" + escape(s.id.Account)
	if host != "" {
		address += "/" + escape(host)
	}
	body := []byte("jwt=")
	body = append(body, bytes.TrimSpace(jwt.Bytes())...)
	defer clear(body)
	return s.ask(ctx, s.client, address+"/authenticate", "application/x-www-form-urlencoded", bytes.NewReader(body),
		"Conjur does not accept the JWT; check that it has not expired, the authenticator's settings, and the annotations of the host")
}

func (s *session) jwt(ctx context.Context) (secret.Value, error) {
	switch {
	case s.id.JWT.IsSet():
		v, err := s.id.JWT.Get(ctx)
		if err != nil {
			return v, &reason{err: err}
		}
		return v, nil
	case s.id.jwt != "":
		return secret.Copy(s.id.jwt), nil
	}
	b, err := readFile(s.id.JWTFile)
	if err != nil {
		return secret.Value{}, because("the JWT: %w", err)
	}
	return secret.New(b), nil
}

// byFile reads a token that something else keeps fresh: the authenticator's
// sidecar, or whatever wrote it.
func (s *session) byFile() (*token, error) {
	b, err := readFile(s.id.TokenFile)
	if err != nil {
		return nil, because("the access token: %w", err)
	}
	t, err := readToken(b, time.Now())
	if err != nil {
		return nil, because("the access token: %s holds none: it must be JSON with protected, payload and signature", s.id.TokenFile)
	}
	t.renew, t.foreign = time.Now(), true // read again for each lookup
	return t, nil
}

// ask makes the request of an authenticator.
func (s *session) ask(ctx context.Context, c *http.Client, address, contentType string, body io.Reader, refused string) (*token, error) {
	const what = "logging in"
	a, err := send(ctx, c, http.MethodPost, address, map[string]string{"Content-Type": contentType}, body)
	if err != nil {
		return nil, unreachable(ctx, what, err)
	}
	if r := troubled(a.status); r != nil {
		clear(a.body)
		return nil, &reason{err: because("logging in: %w", r), transient: r.transient}
	}
	switch a.status {
	case http.StatusOK:
		t, err := readToken(a.body, time.Now())
		if err != nil {
			return nil, passing("logging in: %w; is this Conjur, or a proxy's page?", err)
		}
		return t, nil
	case http.StatusUnauthorized, http.StatusForbidden:
		clear(a.body)
		return nil, &reason{err: errors.New(refused), denied: true, reload: true}
	}
	clear(a.body)
	return nil, because("logging in: Conjur answered HTTP %d; check the URL, the account and the authenticator's service id", a.status)
}

func isDenied(err error) bool {
	r, ok := errors.AsType[*reason](err)
	return ok && r.denied
}
