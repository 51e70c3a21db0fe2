package oauth2

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/secret"
	"secretless/internal/testenv"
)

// defaults are what the decoder fills in.
func defaults(tokenURL string) Config {
	return Config{TokenURL: tokenURL, Grant: clientCredentials, ClientAuth: "header", Header: "Authorization", Scheme: "Bearer"}
}

func mustBuild(t *testing.T, c Config) *authenticator {
	t.Helper()
	a, err := build(c, auth.Setup{Credentials: []string{"clientId", needs(c.Grant)}, Client: client(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.(*authenticator).Close)
	return a.(*authenticator)
}

// sent is the header that a request gets.
func sent(t *testing.T, a *authenticator, set *secret.Set) string {
	t.Helper()
	r := newRequest(t, set)
	if err := a.Authenticate(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	got := r.Header(a.config.Header)
	if len(got) != 1 || !slices.ContainsFunc(r.Hidden(), func(h string) bool { return strings.HasPrefix(h, "access-token-") }) {
		t.Fatalf("%v, hidden %v", got, r.Hidden())
	}
	return got[0]
}

func TestClientCredentials(t *testing.T) {
	for _, where := range []string{"header", "form"} {
		s := newServer(t, nil)
		c := defaults(s.URL)
		c.ClientAuth, c.Scopes, c.Audience, c.Params = where, []string{"read", "write"}, "https://api.example.com/", map[string]string{"resource": "x"}
		a := mustBuild(t, c)
		for range 3 {
			if got := sent(t, a, secrets("clientSecret", theSecret)); got != "Bearer access-token-1" {
				t.Errorf("%s: %s", where, got)
			}
		}
		if len(s.forms) != 1 {
			t.Fatalf("%s: %d fetches", where, len(s.forms))
		}
		form := s.forms[0]
		if form.Get("scope") != "read write" || form.Get("audience") != "https://api.example.com/" || form.Get("resource") != "x" ||
			form.Has("client_secret") != (where == "form") {
			t.Errorf("%s: %v", where, form)
		}
	}
}

func TestRefreshTokenIsReplaced(t *testing.T) {
	s := newServer(t, nil)
	c := defaults(s.URL)
	c.Grant = refreshToken
	a := mustBuild(t, c)
	given := []string{"clientSecret", theSecret, "refreshToken", "refresh0"}
	for _, want := range []string{"Bearer access-token-1", "Bearer access-token-2", "Bearer access-token-3"} {
		got := sent(t, a, secrets(given...))
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		r := newRequest(t, secrets(given...))
		if err := r.SetHeader("Authorization", got); err != nil {
			t.Fatal(err)
		}
		for !a.Renew(t.Context(), r) { // not twice in a moment
			time.Sleep(10 * time.Millisecond)
		}
	}
	// A new one in the provider begins anew.
	s.mu.Lock()
	s.refresh = "another"
	s.mu.Unlock()
	if got := sent(t, a, secrets("clientSecret", theSecret, "refreshToken", "another")); got != "Bearer access-token-4" {
		t.Errorf("%s", got)
	}
}

func TestJWTBearer(t *testing.T) {
	key, text := newKey(t)
	s := newServer(t, &key.PublicKey)
	c := defaults(s.URL)
	c.Grant, c.Subject, c.Audience, c.Scopes, c.KeyID = jwtBearer, "alice", "https://aud.example/", []string{"read", "write"}, "k1"
	a := mustBuild(t, c)
	if got := sent(t, a, secrets("privateKey", text)); got != "Bearer access-token-1" {
		t.Errorf("%s", got)
	}
	_, other := newKey(t)
	err := a.Authenticate(t.Context(), newRequest(t, secrets("privateKey", other)))
	if connector.KindOf(err) != connector.KindRejected || !strings.Contains(err.Error(), "refused the credentials: status 400") {
		t.Errorf("%v", err)
	}
	err = a.Authenticate(t.Context(), newRequest(t, secrets("privateKey", "no key "+theSecret)))
	if connector.KindOf(err) != connector.KindConfig || strings.Contains(err.Error(), theSecret) {
		t.Errorf("%v", err)
	}
}

func TestHeaderAndScheme(t *testing.T) {
	s := newServer(t, nil)
	c := defaults(s.URL)
	c.Header, c.Scheme = "X-Token", ""
	if got := sent(t, mustBuild(t, c), secrets("clientSecret", theSecret)); got != "access-token-1" {
		t.Errorf("%s", got)
	}
}

func TestRenew(t *testing.T) {
	s := newServer(t, nil)
	a := mustBuild(t, defaults(s.URL))
	set := secrets("clientSecret", theSecret)
	first, second := newRequest(t, set), newRequest(t, set)
	for _, r := range []*auth.Request{first, second} {
		if err := a.Authenticate(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	// Both were refused; that is one new token.
	for _, r := range []*auth.Request{first, second} {
		if !a.Renew(t.Context(), r) {
			t.Error("not renewed")
		}
		if err := a.Authenticate(t.Context(), r); err != nil || r.Header("Authorization")[0] != "Bearer access-token-2" {
			t.Errorf("%v %v", err, r.Header("Authorization"))
		}
	}
}

// What an endpoint answers, which may repeat what it was sent, is in no error.
func TestEndpointFailures(t *testing.T) {
	echo := func(status int, kind string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			if status >= 300 && status < 400 {
				w.Header().Set("Location", "https://evil.test/?"+r.PostForm.Encode())
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"error":"` + theSecret + `","error_description":"` + theSecret + `","secret":` + theSecret + r.PostForm.Encode()))
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		kind   connector.Kind
		want   string
	}{
		"refused":  {nil, connector.KindRejected, "refused the credentials: status 400 (invalid_client)"},
		"401":      {echo(401, "application/json"), connector.KindRejected, "status 401"},
		"500":      {echo(500, "text/html"), connector.KindTarget, "failed: status 500"},
		"redirect": {echo(307, "text/html"), connector.KindTarget, "redirects (status 307)"},
		"no JSON":  {echo(200, "application/json"), connector.KindTarget, "something that is no token"},
		"form":     {echo(200, "text/plain"), connector.KindTarget, "something that is no token"},
		"empty": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"token_type":"Bearer"}`))
		}, connector.KindTarget, "no token"},
		"own code": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(400)
			_, _ = w.Write([]byte(`{"error":"` + theSecret + `"}`))
		}, connector.KindRejected, "status 400"},
		"huge token": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"access_token":"` + strings.Repeat("x", 20<<10) + `"}`))
		}, connector.KindTarget, "more than"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			block := []byte(strings.Repeat(" ", 64<<10))
			for range 32 {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}, connector.KindTarget, "something that is no token"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, nil)
			s.set(c.answer)
			conf := defaults(s.URL)
			conf.ClientAuth = "form"
			err := mustBuild(t, conf).Authenticate(t.Context(), newRequest(t, secrets("clientSecret", "wrong "+theSecret)))
			if err == nil || connector.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: %v", connector.KindOf(err), err)
			}
			for _, leak := range []string{"s3cret", "evil"} {
				if err != nil && strings.Contains(err.Error(), leak) {
					t.Errorf("the error repeats %s: %v", leak, err)
				}
			}
			if n := s.fetches(); n != 1 {
				t.Errorf("%d requests: the secret is sent in ways that nobody chose", n)
			}
		})
	}
	a := mustBuild(t, defaults("http://"+testenv.Refusing(t).String()))
	if err := a.Authenticate(t.Context(), newRequest(t, secrets("clientSecret", theSecret))); connector.KindOf(err) != connector.KindConnect {
		t.Errorf("an endpoint that is down: %v", err)
	}
}

func TestBadConfigurations(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"must be https":          func(c *Config) { c.TokenURL = "http://login.example.com/token" },
		"credentials do not":     func(c *Config) { c.TokenURL = "https://a:b@login.example.com/token" },
		`"refreshToken"`:         func(c *Config) { c.Grant = refreshToken },
		`"privateKey"`:           func(c *Config) { c.Grant = jwtBearer },
		"no header name":         func(c *Config) { c.Header = "a b" },
		"no single word":         func(c *Config) { c.Scheme = "a b" },
		"set by the other keys":  func(c *Config) { c.Params = map[string]string{"client_secret": "x"} },
		"params are for":         func(c *Config) { c.Grant, c.Params = jwtBearer, map[string]string{"x": "y"} },
		"carries its scopes and": func(c *Config) { c.Grant, c.Scopes = refreshToken, []string{"x"} },
	} {
		c := defaults("https://login.example.com/token")
		change(&c)
		_, err := build(c, auth.Setup{Credentials: []string{"clientId", "clientSecret"}})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
