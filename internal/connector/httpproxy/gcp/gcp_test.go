package gcp

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/secret"
)

// keyText is a key file as Google Cloud issues them.
func keyText(t *testing.T, change map[string]string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{
		"type": "service_account", "project_id": "p", "private_key_id": "kid1", "client_id": "1",
		"client_email": "broker@p.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}
	for name, value := range change {
		fields[name] = value
	}
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func newRequest(t *testing.T, key string) *auth.Request {
	t.Helper()
	out, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://storage.googleapis.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	to, err := origin.Parse("https", "storage.googleapis.com")
	if err != nil {
		t.Fatal(err)
	}
	return auth.NewRequest(to, message.FromHTTP(out), secret.NewSet(map[string]secret.Value{credential: secret.Copy(key)}))
}

func mustBuild(t *testing.T, c Config) *authenticator {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	a, err := build(c, auth.Setup{Client: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.(*authenticator).Close)
	return a.(*authenticator)
}

// statement is the claims that a server was sent.
func statement(r *http.Request) (claims map[string]any, head map[string]any) {
	parts := strings.Split(r.FormValue("assertion"), ".")
	for i, into := range []*map[string]any{&head, &claims} {
		text, _ := base64.RawURLEncoding.DecodeString(parts[i])
		_ = json.Unmarshal(text, into)
	}
	return claims, head
}

func TestTokens(t *testing.T) {
	idToken := "e30." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, time.Now().Add(time.Hour).Unix())) + ".c2ln"
	for name, c := range map[string]struct {
		config Config
		want   string
		claim  string
		value  any
	}{
		"access":   {Config{}, "Bearer ya29.access", "scope", allScopes},
		"scopes":   {Config{Scopes: []string{"a", "b"}}, "Bearer ya29.access", "scope", "a b"},
		"subject":  {Config{Subject: "alice@example.com"}, "Bearer ya29.access", "sub", "alice@example.com"},
		"identity": {Config{Audience: "https://run.example.com"}, "Bearer " + idToken, "target_audience", "https://run.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			fetches := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fetches++
				claims, head := statement(r)
				if claims[c.claim] != c.value || claims["iss"] != "broker@p.iam.gserviceaccount.com" || head["kid"] != "kid1" || claims["aud"] != "http://"+r.Host+"/token" {
					t.Errorf("%v %v", claims, head)
				}
				w.Header().Set("Content-Type", "application/json")
				answer := map[string]any{"access_token": "ya29.access", "expires_in": 3599, "token_type": "Bearer"}
				if c.config.Audience != "" {
					answer = map[string]any{"id_token": idToken}
				}
				_ = json.NewEncoder(w).Encode(answer)
			}))
			defer server.Close()
			c.config.TokenURL = server.URL + "/token"
			a := mustBuild(t, c.config)
			key := keyText(t, nil)
			for range 2 {
				r := newRequest(t, key)
				if err := a.Authenticate(t.Context(), r); err != nil {
					t.Fatal(err)
				}
				if got := r.Header("Authorization"); len(got) != 1 || got[0] != c.want {
					t.Errorf("%v", got)
				}
			}
			if fetches != 1 {
				t.Errorf("%d fetches", fetches)
			}
		})
	}
}

// A key that somebody else has written does not choose where the statement
// that it signs goes.
func TestTokenURIIsPinned(t *testing.T) {
	asked := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer server.Close()
	a := mustBuild(t, Config{})
	for _, uri := range []string{
		"", server.URL, "https://evil.test/token", "https://googleapis.com.evil.test/token", "https://evilgoogleapis.com/token",
		"http://oauth2.googleapis.com/token", "https://oauth2.googleapis.com:8443/token", "https://oauth2.googleapis.com@evil.test/", "://",
	} {
		err := a.Authenticate(t.Context(), newRequest(t, keyText(t, map[string]string{"token_uri": uri})))
		if connector.KindOf(err) != connector.KindConfig || !strings.Contains(err.Error(), "token_uri") {
			t.Errorf("%s: %v", uri, err)
		}
	}
	if asked {
		t.Error("the key's server was asked")
	}
	if _, err := a.endpoint("https://oauth2.googleapis.com/token"); err != nil {
		t.Error(err)
	}
}

func TestUnusableKeys(t *testing.T) {
	a := mustBuild(t, Config{TokenURL: "http://127.0.0.1:1/"})
	for name, text := range map[string]string{
		"no JSON": "hunter2hunter2", "user": `{"type":"authorized_user","client_secret":"hunter2hunter2"}`,
		"external": `{"type":"external_account","credential_source":{"url":"http://evil.test/"}}`,
		"no key":   keyText(t, map[string]string{"private_key": ""}), "bad key": keyText(t, map[string]string{"private_key": "hunter2hunter2"}),
	} {
		err := a.Authenticate(t.Context(), newRequest(t, text))
		if connector.KindOf(err) != connector.KindConfig || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadConfigurations(t *testing.T) {
	for want, c := range map[string]Config{
		"must be https":   {TokenURL: "http://login.example.com/"},
		"and no scopes":   {Audience: "a", Scopes: []string{"b"}},
		"that is no URL;": {TokenURL: "login"},
	} {
		if _, err := build(c, auth.Setup{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
