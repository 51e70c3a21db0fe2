package kubernetes

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"secretless/internal/kubeapi"
	"secretless/internal/provider"
	"secretless/internal/testenv"
)

const answer = `{"kind": "Secret", "data": {"password": "cGFzcw==", "user": "YXBw", "empty": ""}}`

// double is an HTTPS server that answers as it is told, and a provider that is
// configured for it with a token file.
type double struct {
	*httptest.Server
	provider  provider.Provider
	tokenFile string
}

func newDouble(t *testing.T, serve http.HandlerFunc) *double {
	t.Helper()
	s := httptest.NewUnstartedServer(serve)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	d := &double{Server: s, tokenFile: testenv.WriteFile(t, "token", canary+"-token\n")}
	d.provider = build(t, Config{
		Server: s.URL, CACert: testenv.WriteFile(t, "ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))),
		TokenFile: d.tokenFile, Namespace: "shop",
	}, nil)
	return d
}

func build(t *testing.T, c Config, vars map[string]string) provider.Provider {
	t.Helper()
	p, err := Definition().Build(provider.Setup{
		Name:      "kubernetes",
		Decode:    func(into any) error { *into.(*Config) = c; return nil },
		LookupEnv: func(name string) (string, bool) { v, ok := vars[name]; return v, ok },
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func fetch(t *testing.T, p provider.Provider, ids ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	leases, err := p.Fetch(ctx, ids)
	if err != nil && len(leases) > 0 {
		t.Errorf("%d values with error %v", len(leases), err)
	}
	var values []string
	for _, id := range ids {
		values = append(values, string(leases[id].Value.Bytes()))
	}
	return strings.Join(values, " "), err
}

// check is one lookup that fails with a text.
func check(t *testing.T, p provider.Provider, id, want string, transient bool) {
	t.Helper()
	_, err := fetch(t, p, id)
	e, ok := errors.AsType[*provider.Error](err)
	if !ok || err.Error() != "provider kubernetes: "+id+": "+want {
		t.Errorf("%s:\ngot  %v\nwant %s", id, err, want)
		return
	}
	if e.Transient != transient {
		t.Errorf("%s: transient is %v: %v", id, e.Transient, err)
	}
}

func TestRequest(t *testing.T) {
	var requests atomic.Int32
	d := newDouble(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer "+canary+"-token" {
			t.Errorf("%s with %q", r.Method, r.Header.Get("Authorization"))
		}
		switch r.RequestURI {
		case "/api/v1/namespaces/shop/secrets/db", "/api/v1/namespaces/other/secrets/db":
			fmt.Fprint(w, answer)
		default:
			http.NotFound(w, r)
		}
	})
	// One request a secret, whichever way its ids are written.
	got, err := fetch(t, d.provider, "db#password", "other/db#user", "shop/db#user", "db#empty")
	if err != nil || got != "pass app app " || requests.Load() != 2 {
		t.Errorf("%q, %v after %d requests", got, err, requests.Load())
	}
	check(t, d.provider, "db#pass", "secret db in namespace shop has no field pass; it has empty, password, user", false)
	check(t, d.provider, "nothing#pass", "there is no secret nothing in namespace shop", false)
}

func TestStatus(t *testing.T) {
	var status atomic.Int32
	d := newDouble(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		fmt.Fprint(w, `{"kind": "Status", "message": "`+canary+`"}`)
	})
	for code, c := range map[int]struct {
		text      string
		transient bool
	}{
		400: {"the API server answers with status 400", false},
		401: {kubeapi.ErrUnauthorized.Error(), false},
		403: {"the account may not read secret db in namespace shop: give it a Role there with the verb get on this secret", false},
		404: {"there is no secret db in namespace shop", false},
		429: {"the API server cannot answer now (status 429)", true},
		500: {"the API server cannot answer now (status 500)", true},
		503: {"the API server cannot answer now (status 503)", true},
		200: {"the answer is no Secret: is server the address of a Kubernetes API server?", false},
		304: {"the API server sends elsewhere (status 304), which is not followed: correct server", false},
	} {
		status.Store(int32(code))
		check(t, d.provider, "db#password", c.text, c.transient)
	}
}

// A token does not follow a redirect, to the same host or another.
func TestRedirect(t *testing.T) {
	var there atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { there.Add(1) }))
	defer other.Close()
	for _, to := range []string{other.URL, "/elsewhere"} {
		var requests atomic.Int32
		d := newDouble(t, func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
		})
		check(t, d.provider, "db#password", "the API server sends elsewhere (status 307), which is not followed: correct server", false)
		if requests.Load() != 1 || there.Load() != 0 {
			t.Errorf("%s: %d requests, %d elsewhere", to, requests.Load(), there.Load())
		}
	}
}

func TestAnswerIsBounded(t *testing.T) {
	d := newDouble(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"kind": "Secret", "data": {"password": "`)
		chunk := []byte(strings.Repeat("A", 1<<16))
		for range 1 << 10 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	check(t, d.provider, "db#password", "the answer is larger than 4 MiB", false)
}

func TestBrokenAnswers(t *testing.T) {
	var text atomic.Value
	d := newDouble(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text.Load()) })
	for _, body := range []string{
		"", "[]", "<html>", `{"kind": "Pod", "data": {"password": "cGFzcw=="}}`,
		`{"kind": "Secret", "data": {"password": "` + canary + `"}}`, `{"kind": "Secret", "data": "` + canary + `"}`,
	} {
		text.Store(body)
		check(t, d.provider, "db#password", "the answer is no Secret: is server the address of a Kubernetes API server?", false)
	}
	text.Store(`{"kind": "Secret"}`)
	check(t, d.provider, "db#password", "secret db in namespace shop has no field password; it has none", false)
	names := `"a\n` + canary + `": ""`
	for i := range 30 {
		names += fmt.Sprintf(`, "f%02d": ""`, i)
	}
	text.Store(`{"kind": "Secret", "data": {` + names + `}}`)
	check(t, d.provider, "db#password", "secret db in namespace shop has no field password; it has f00, f01, f02, f03, f04, f05, f06, f07, f08, f09, "+
		"f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, and 10 more", false)
}

// A server that gives the token back does not get it into an error, wherever
// in the answer it stands.
func TestAnswersThatAreNoHTTP(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	var text atomic.Value
	d := newDouble(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, strings.ReplaceAll(text.Load().(string), "TOKEN", r.Header.Get("Authorization")))
	})
	for _, answer := range []string{
		"TOKEN\r\n\r\n", "HTTP/1.1 TOKEN\r\n\r\n", ok + "X-Token TOKEN\r\n\r\n",
		ok + "Content-Length: TOKEN\r\n\r\n", ok + "Transfer-Encoding: TOKEN\r\n\r\n",
	} {
		text.Store(answer)
		check(t, d.provider, "db#password", "asking the API server: the connection broke, or what came is no HTTP", true)
	}
}

// A token that was replaced while the lookup was under way is read once more;
// one that stays the same is not tried twice.
func TestTokenIsReadAgain(t *testing.T) {
	var requests atomic.Int32
	var d *double
	d = newDouble(t, func(w http.ResponseWriter, r *http.Request) {
		switch requests.Add(1); r.Header.Get("Authorization") {
		case "Bearer fresh":
			fmt.Fprint(w, answer)
		default:
			if requests.Load() > 1 {
				if err := os.WriteFile(d.tokenFile, []byte("fresh"), 0o600); err != nil {
					t.Error(err)
				}
			}
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	check(t, d.provider, "db#password", kubeapi.ErrUnauthorized.Error(), false)
	if requests.Load() != 1 {
		t.Errorf("%d requests with the same token", requests.Load())
	}
	if got, err := fetch(t, d.provider, "db#password"); got != "pass" || err != nil || requests.Load() != 3 {
		t.Errorf("%q, %v after %d requests", got, err, requests.Load())
	}
}

func TestDeadline(t *testing.T) {
	asked, end := make(chan struct{}), make(chan struct{})
	d := newDouble(t, func(_ http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-end
	})
	defer close(end)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	_, err := d.provider.Fetch(ctx, []string{"db#password"})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestWrongServers(t *testing.T) {
	d := newDouble(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) })
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for name, c := range map[string]struct {
		config    Config
		want      string
		transient bool
	}{
		"unknown authority": {
			Config{Server: d.URL, CACert: testenv.WriteFile(t, "ca", testenv.CA(t).CAPEM)},
			"the API server's certificate is not trusted: x509: certificate signed by unknown authority", false,
		},
		"system's authorities": {
			Config{Server: d.URL},
			"the API server's certificate is not trusted: x509: certificate signed by unknown authority", false,
		},
		"no TLS": {
			Config{Server: strings.Replace(plain.URL, "http:", "https:", 1)}, "the API server does not speak TLS", false,
		},
		"nobody": {Config{Server: "https://127.0.0.1:1"}, "asking the API server: dial tcp 127.0.0.1:1: connect: connection refused", true},
		"no CA file": {
			Config{Server: d.URL, CACert: filepath.Join(t.TempDir(), "..", "gone")}, "no such file or directory", false,
		},
	} {
		c.config.Token = provider.LiteralSetting(canary)
		_, err := fetch(t, build(t, c.config, nil), "db#password")
		e, ok := errors.AsType[*provider.Error](err)
		if !ok || !strings.Contains(err.Error(), c.want) || e.Transient != c.transient || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func TestSettings(t *testing.T) {
	token := provider.LiteralSetting("t")
	for want, c := range map[string]Config{
		"server and kubeconfig (or context) exclude each other: keep one of them":                 {Server: "https://h", Token: token, Context: "x"},
		"caCert, token and tokenFile belong to server: add server, or put them into a kubeconfig": {Token: token},
		"token and tokenFile exclude each other: keep one of them":                                {Server: "https://h", Token: token, TokenFile: "x"},
		"server needs token or tokenFile; for a client certificate use a kubeconfig":              {Server: "https://h"},
		"server must begin with https://: a token and secrets are not sent in clear text":         {Server: "http://h", Token: token},
		"server must be https://host[:port][/path] and nothing more":                              {Server: "https://u:p@h", Token: token},
		"server is no URL": {Server: "https://h:" + canary, Token: token},
		`namespace: "A" is no name of a namespace: lower case letters, digits and -`: {Namespace: "A"},
	} {
		_, err := Definition().Build(provider.Setup{Decode: func(into any) error { *into.(*Config) = c; return nil }})
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func FuzzParseSecret(f *testing.F) {
	for _, seed := range []string{answer, "", "{}", `{"kind": "Secret", "data": null}`, `{"kind": "Secret", "data": {"a": "x"}}`, `{"kind": "secret", "DATA": {"": "YQ=="}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		size := len(body)
		data, err := parseSecret(body)
		if err != nil && data != nil {
			t.Error("fields with an error")
		}
		for _, value := range data {
			size -= len(value)
		}
		if size < 0 || len(data.names()) > len(body)+maxNames*4+20 {
			t.Errorf("%q: %d fields", body, len(data))
		}
	})
}

// An API server that starts answers before it has read who may do what.
func TestForbiddenByAServerThatStarts(t *testing.T) {
	var ready atomic.Bool
	d := newDouble(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/readyz":
			w.WriteHeader(http.StatusForbidden)
		case !ready.Load():
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	check(t, d.provider, "db#password", "the API server has just started and knows no rights yet", true)
	ready.Store(true)
	check(t, d.provider, "db#password", "the account may not read secret db in namespace shop: give it a Role there with the verb get on this secret", false)
}

// Between its refusal and the question whether it is ready, a server may have
// become so.
func TestForbiddenByAServerThatHasJustStarted(t *testing.T) {
	var ready atomic.Bool
	d := newDouble(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/readyz":
			ready.Store(true)
		case !ready.Load():
			w.WriteHeader(http.StatusForbidden)
		default:
			fmt.Fprint(w, answer)
		}
	})
	if got, err := fetch(t, d.provider, "db#password"); got != "pass" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
