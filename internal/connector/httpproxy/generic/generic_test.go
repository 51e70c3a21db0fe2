package generic

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/secret"
)

const sesame = "open-sesame-1234"

func request(t *testing.T, url, body string, pairs ...string) *auth.Request {
	t.Helper()
	out, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		out.Body, out.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		out.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	}
	to, err := origin.Parse(out.URL.Scheme, out.URL.Host)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]secret.Value{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = secret.Copy(pairs[i+1])
	}
	return auth.NewRequest(to, message.FromHTTP(out), secret.NewSet(values))
}

func mustBuild(t *testing.T, c Config, credentials ...string) auth.Authenticator {
	t.Helper()
	a, err := build(c, auth.Setup{Credentials: credentials})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestHeadersAndQuery(t *testing.T) {
	a := mustBuild(t, Config{
		Headers: map[string]string{
			"Authorization": `Basic {{ printf "%s:%s" .username .password | base64 }}`,
			"X-Api-Key":     "{{ .password }}", "X-Plain": "text",
			"X-Maybe": "{{ if .empty }}a{{ else }}b{{ end }}",
		},
		QueryParams: map[string]string{"key": "{{.password}}&x=1"},
	}, "username", "password", "empty")
	r := request(t, "https://api.example.com/v1?a=%20b&KEY=mine&key=mine", "", "username", "alice@example.com", "password", sesame, "empty", "")
	r.Outgoing().Fields.Add("X-Api_Key", "mine")
	if err := a.Authenticate(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Authorization": "Basic YWxpY2VAZXhhbXBsZS5jb206b3Blbi1zZXNhbWUtMTIzNA==", "X-Api-Key": sesame, "X-Plain": "text", "X-Maybe": "b", "X-Api_Key": "",
	} {
		if got := strings.Join(r.Header(name), "|"); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := r.URL().RawQuery; got != "a=%20b&key=open-sesame-1234%26x%3D1" {
		t.Errorf("query %s", got)
	}
	if !slices.Contains(r.Hidden(), sesame) || slices.Contains(r.Hidden(), "alice@example.com") {
		t.Errorf("hidden: %v", r.Hidden())
	}
}

func TestBadConfigurations(t *testing.T) {
	header := func(text string) Config { return Config{Headers: map[string]string{"X-A": text}} }
	for _, c := range []struct {
		name   string
		config Config
		want   string
	}{
		{"nothing", Config{}, "nothing would be added"},
		{"missing credential", header("{{ .tokn }}"), `no credential "tokn"`},
		{"missing in a condition", header("{{ if .tokn }}a{{ end }}"), `no credential "tokn"`},
		{"syntax", header("{{ .token "), "unclosed action"},
		{"function", header("{{ html .token }}"), "function html cannot be used; there are base64 and printf"},
		{"unknown function", header("{{ env \"HOME\" }}"), `function "env" not defined`},
		{"call", header("{{ call .token }}"), "function call"},
		{"range", header("{{ range .token }}x{{ end }}"), "cannot be used"},
		{"with", header("{{ with .token }}x{{ end }}"), "cannot be used"},
		{"define", header(`{{ define "x" }}{{ end }}{{ .token }}`), "define"},
		{"template", header(`{{ template "value" . }}`), "cannot be used"},
		{"variable", header("{{ $x := .token }}{{ $x }}"), "variables"},
		{"all", header("{{ . }}"), "cannot be used"},
		{"method", header("{{ .token.Bytes }}"), "a credential has one name"},
		{"header name", Config{Headers: map[string]string{"X A": "x"}}, "no header name"},
		{"empty name", Config{QueryParams: map[string]string{"": "x"}}, "empty name"},
		{"same header", Config{Headers: map[string]string{"X-A": "x", "x_a": "y"}}, "the same header"},
		{"expression", Config{Headers: map[string]string{"X-A": "x"}, CredentialValidations: map[string]string{"token": "["}}, "missing closing ]"},
		{"validation", Config{Headers: map[string]string{"X-A": "x"}, CredentialValidations: map[string]string{"tokn": "a"}}, `no credential "tokn"`},
		{"no secret", Config{OAuth1: &OAuth1{ConsumerKey: "k", SignatureMethod: "HMAC-SHA1"}}, "needs consumer_secret"},
		{"no key", Config{OAuth1: &OAuth1{ConsumerKey: "k", SignatureMethod: "RSA-SHA1"}}, "needs private_key"},
		{"two", Config{Headers: map[string]string{"authorization": "x"}, OAuth1: &OAuth1{ConsumerKey: "k", ConsumerSecret: "s", SignatureMethod: "HMAC-SHA1"}}, "and so does headers"},
	} {
		_, err := build(c.config, auth.Setup{Credentials: []string{"token"}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// What comes from a provider cannot break out of its place, and no error shows it.
func TestHostileValues(t *testing.T) {
	for name, value := range map[string]string{
		"CR LF": sesame + "\r\nX-Evil: 1", "LF": sesame + "\n", "NUL": sesame + "\x00", "DEL": sesame + "\x7f", "escape": sesame + "\x1b[31m",
		"long": strings.Repeat(sesame, 2000),
	} {
		for where, c := range map[string]Config{
			"header": {Headers: map[string]string{"Authorization": "Bearer {{ .token }}"}},
			"query":  {QueryParams: map[string]string{"key": "{{ .token }}"}},
			"oauth1": {OAuth1: &OAuth1{ConsumerKey: "{{ .token }}", ConsumerSecret: "s", SignatureMethod: "HMAC-SHA1"}},
		} {
			r := request(t, "https://api.example.com/", "", "token", value)
			err := mustBuild(t, c, "token").Authenticate(t.Context(), r)
			if connector.KindOf(err) != connector.KindConfig || strings.Contains(err.Error(), "sesame") {
				t.Errorf("%s in a %s: %v", name, where, err)
			}
			if len(r.Header("Authorization")) > 0 || r.URL().RawQuery != "" {
				t.Errorf("%s in a %s is sent", name, where)
			}
		}
	}
	// printf can make much of little.
	r := request(t, "https://api.example.com/", "", "token", sesame)
	err := mustBuild(t, Config{Headers: map[string]string{"X-A": `{{ printf "%999999d" 1 }}{{ .token }}`}}, "token").Authenticate(t.Context(), r)
	if err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("%v", err)
	}
}

func TestValidations(t *testing.T) {
	a := mustBuild(t, Config{
		Headers:               map[string]string{"Authorization": "Bearer {{ .token }}"},
		CredentialValidations: map[string]string{"token": "sk-[a-z]+|old"},
	}, "token")
	for value, ok := range map[string]bool{"sk-abc": true, "old": true, "sk-ABC": false, "xsk-abc": false, "sk-abc\n": false, "older": false, "": false} {
		err := a.Authenticate(t.Context(), request(t, "https://api.example.com/", "", "token", value))
		if (err == nil) != ok || err != nil && value != "" && strings.Contains(err.Error(), value) {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func oauth1Config(method string) Config {
	return Config{OAuth1: &OAuth1{
		ConsumerKey: "{{ .consumer_key }}", ConsumerSecret: "{{ .consumer_secret }}", Token: "{{ .token }}", TokenSecret: "{{ .token_secret }}",
		SignatureMethod: method,
	}}
}

var oauth1Credentials = []string{"consumer_key", "ck", "consumer_secret", "consumer-secret", "token", "tk", "token_secret", "token-secret"}

func TestOAuth1(t *testing.T) {
	a := mustBuild(t, oauth1Config("HMAC-SHA1"), "consumer_key", "consumer_secret", "token", "token_secret")
	r := request(t, "https://api.example.com/1?a=1", "status=hi", oauth1Credentials...)
	if err := a.Authenticate(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(r.Header("Authorization"), "|")
	if !strings.HasPrefix(got, `OAuth oauth_consumer_key="ck", `) || !strings.Contains(got, `oauth_signature="`) || strings.Contains(got, "secret") {
		t.Errorf("%s", got)
	}
	if body, err := io.ReadAll(r.Outgoing().Body); err != nil || string(body) != "status=hi" {
		t.Errorf("the body has become %q, %v", body, err)
	}
	r = request(t, "https://api.example.com/1?oauth_token=mine", "", oauth1Credentials...)
	if err := a.Authenticate(t.Context(), r); connector.KindOf(err) != connector.KindDenied {
		t.Errorf("the client signs too: %v", err)
	}
	r = request(t, "https://api.example.com/1", strings.Repeat("a", maxForm+1), oauth1Credentials...)
	if err := a.Authenticate(t.Context(), r); err != auth.ErrBodyTooLarge { //nolint:errorlint // as it is
		t.Errorf("a large form: %v", err)
	}
}

func TestPlaintextNeedsTLS(t *testing.T) {
	a := mustBuild(t, oauth1Config("PLAINTEXT"), "consumer_key", "consumer_secret", "token", "token_secret")
	if err := a.Authenticate(t.Context(), request(t, "http://127.0.0.1/1", "", oauth1Credentials...)); connector.KindOf(err) != connector.KindDenied {
		t.Errorf("%v", err)
	}
	r := request(t, "https://api.example.com/1", "", oauth1Credentials...)
	if err := a.Authenticate(t.Context(), r); err != nil || !strings.Contains(r.Header("Authorization")[0], `oauth_signature="consumer-secret%26token-secret"`) {
		t.Errorf("%v: %v", err, r.Header("Authorization"))
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("Bearer {{ .token }}", "abc")
	f.Add(`{{ printf "%s" .token | base64 }}`, "\r\n")
	f.Add(`{{ if .token }}{{ end }}`, "")
	f.Fuzz(func(t *testing.T, text, value string) {
		parsed, err := parseTemplate(text, []string{"token"})
		if err != nil {
			return
		}
		out, err := parsed.render(secret.NewSet(map[string]secret.Value{"token": secret.Copy(value)}))
		if err == nil && (len(out) > maxRendered || strings.ContainsAny(out, "\r\n\x00")) {
			t.Errorf("%q", out)
		}
	})
}
