package conjur

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"secretless/internal/provider"
	"secretless/internal/provider/providertest"
	"secretless/internal/testenv"
	"secretless/internal/testenv/conjurserver"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

const (
	login = "host/apps/orders@prod"
	key   = "api-key-" + providertest.Canary
)

// world is the double and the environment of a broker that uses it.
type world struct {
	*testing.T
	conjur *conjurserver.Server
	env    map[string]string
	log    bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := conjurserver.Start(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.SetKey(login, key)
	w := &world{T: t, conjur: s, env: map[string]string{
		"CONJUR_APPLIANCE_URL": s.URL, "CONJUR_ACCOUNT": conjurserver.Account,
		"CONJUR_AUTHN_LOGIN": login, "CONJUR_AUTHN_API_KEY": key,
	}}
	t.Cleanup(func() { w.clean("log", w.log.String()) })
	return w
}

func (w *world) with(pairs ...string) *world {
	for i := 0; i < len(pairs); i += 2 {
		if w.env[pairs[i]] = pairs[i+1]; pairs[i+1] == "" {
			delete(w.env, pairs[i])
		}
	}
	return w
}

// without credentials others can be tried.
func (w *world) without() *world { return w.with("CONJUR_AUTHN_LOGIN", "", "CONJUR_AUTHN_API_KEY", "") }

func (w *world) setup(c Config) provider.Setup {
	return provider.Setup{
		Name: "conjur",
		Decode: func(into any) error {
			*into.(*Config) = c
			return nil
		},
		LookupEnv: func(name string) (string, bool) {
			v, ok := w.env[name]
			return v, ok
		},
		Log: slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

func (w *world) open(c Config) *conjur {
	w.Helper()
	p, err := Definition().Build(w.setup(c))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(p.(provider.Closer).Close)
	return p.(*conjur)
}

func (w *world) clean(where, text string) {
	w.Helper()
	if strings.Contains(text, providertest.Canary) {
		w.Errorf("%s contains a secret: %s", where, text)
	}
}

func (w *world) set(id, value string) {
	w.conjur.Set(id, conjurserver.Variable{Values: [][]byte{[]byte(value)}})
}

func fetch(ctx context.Context, p provider.Provider, ids ...string) (map[string]string, error) {
	leases, err := p.Fetch(ctx, ids)
	out := map[string]string{}
	for id, l := range leases {
		out[id] = string(l.Value.Bytes())
		l.Value.Wipe()
	}
	return out, err
}

// works is a lookup that must succeed.
func (w *world) works(p provider.Provider) {
	w.Helper()
	w.set("db/password", "value-"+providertest.Canary)
	got, err := fetch(w.Context(), p, "db/password")
	if err != nil || got["db/password"] != "value-"+providertest.Canary {
		w.Errorf("got %q, %v", got, err)
	}
}

// fails is a lookup that must not, with this text.
func (w *world) fails(p provider.Provider, id, want string, transient bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 10*time.Second)
	defer cancel()
	got, err := fetch(ctx, p, id)
	if err == nil {
		w.Errorf("no error, got %q", got)
		return
	}
	w.clean("error", err.Error())
	e, ok := errors.AsType[*provider.Error](err)
	if !ok || e.Transient != transient || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "provider conjur: ") {
		w.Errorf("got  %v (transient %v)\nwant %s (transient %v)", err, ok && e.Transient, want, transient)
	}
}

func TestConformance(t *testing.T) {
	for name, prefix := range map[string]string{"plain": "", "full": conjurserver.Account + ":variable:"} {
		t.Run(name, func(t *testing.T) {
			providertest.Run(t, providertest.Config{
				New: func(t *testing.T, s provider.Setup, values map[string][]byte) providertest.Source {
					w := newWorld(t)
					s.Decode = func(into any) error {
						*into.(*Config) = Config{ApplianceURL: w.conjur.URL, Account: conjurserver.Account, Login: login, APIKey: provider.LiteralSetting(key)}
						return nil
					}
					p, err := Definition().Build(s)
					if err != nil {
						t.Fatal(err)
					}
					refs := map[string]string{}
					for name, v := range values {
						id := "apps/my orders+100%/" + name + "&?#"
						w.conjur.Set(id, conjurserver.Variable{Values: [][]byte{v}})
						refs[name] = prefix + id
					}
					return providertest.Source{Provider: p, Refs: refs, Missing: prefix + "apps/nowhere"}
				},
			})
		})
	}
}

func TestOneRequestForManyVariables(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for n := range 20 {
		id := fmt.Sprintf("apps/%d", n)
		w.set(id, fmt.Sprint(n))
		ids = append(ids, id, "variable:"+id)
	}
	w.set("a,b", "comma")
	p := w.open(Config{})
	got, err := fetch(t.Context(), p, append(ids, "a,b", "acme:variable:apps/3")...)
	if err != nil || len(got) != 42 || got["variable:apps/7"] != "7" || got["a,b"] != "comma" || got["acme:variable:apps/3"] != "3" {
		t.Fatalf("got %v, %v", got, err)
	}
	if n := w.conjur.Count("/secrets"); n != 2 {
		t.Errorf("%d requests, want one and one for the comma: %v", n, w.conjur.Requests())
	}
	long := strings.Repeat("x", 900)
	ids = nil
	for n := range 10 {
		id := fmt.Sprintf("%s/%d", long, n)
		w.set(id, "v")
		ids = append(ids, id)
	}
	if got, err = fetch(t.Context(), p, ids...); err != nil || len(got) != 10 {
		t.Errorf("got %d values, %v", len(got), err)
	}
	if n := w.conjur.Count("/secrets"); n != 4 {
		t.Errorf("%d requests after long ids", n-2)
	}
}

// A server from before base64 gives text only, and says so.
func TestOldServer(t *testing.T) {
	w := newWorld(t)
	w.conjur.Old = true
	w.set("a", "text ü")
	w.set("b", "more")
	w.set("c", "\xff\x00")
	p := w.open(Config{})
	if got, err := fetch(t.Context(), p, "a", "b"); err != nil || got["a"] != "text ü" || got["b"] != "more" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := fetch(t.Context(), p, "c"); err != nil || got["c"] != "\xff\x00" {
		t.Errorf("got %q, %v", got, err)
	}
	_, err := fetch(t.Context(), p, "a", "c")
	if err == nil || !strings.Contains(err.Error(), "too old to give several such at once") {
		t.Errorf("got %v", err)
	}
}

// Errors name the id that is to blame, not all that were asked for.
func TestWhichOfMany(t *testing.T) {
	w := newWorld(t)
	w.set("app", "x")
	w.set("app/user", "x")
	w.conjur.Set("denied", conjurserver.Variable{Values: [][]byte{[]byte("x")}, Denied: true})
	w.conjur.Set("empty", conjurserver.Variable{})
	p := w.open(Config{})
	for missing, want := range map[string]string{
		"app/pass": "provider conjur: acme:variable:app/pass: there is no such variable, it has no value",
		"empty":    "provider conjur: acme:variable:empty: there is no such variable, it has no value",
	} {
		_, err := fetch(t.Context(), p, "app", missing, "app/user")
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	w.fails(p, "denied", "acme:variable:denied: access denied: permit "+login+" to execute this variable", false)
	w.fails(p, "other:variable:app", "other:variable:app: there is no such variable", false)
	w.fails(p, "host:app", "acme:host:app: there is no such variable", false)
}

func TestParse(t *testing.T) {
	for text, want := range map[string]ref{
		"a":                          {"", "variable", "a"},
		"a/b c@d+e":                  {"", "variable", "a/b c@d+e"},
		"variable:a":                 {"", "variable", "a"},
		"user:a":                     {"", "user", "a"},
		"acme:variable:a:b":          {"acme", "variable", "a:b"},
		"":                           {},
		":":                          {},
		"a:":                         {},
		":a":                         {},
		":variable:a":                {},
		"acme::a":                    {},
		"acme:variable:":             {},
		"a\nb":                       {},
		"a\x00":                      {},
		"\xff":                       {},
		"..":                         {},
		"..:variable:a":              {},
		"a/b:c:d":                    {},
		strings.Repeat("a", maxID+1): {},
	} {
		got, err := parse(text)
		if (err == nil) != (want.id != "") || err == nil && got != want {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a", "variable:a", "acme:variable:a/b", "a:b:c:d", "%2e%2e", "../..", "a,b", "é+ &"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parse(text)
		if err != nil {
			return
		}
		path := r.in("acme").path()
		if strings.Count(path, "/") != 3 || strings.ContainsAny(path, "?#& +\n\\:@,") {
			t.Fatalf("%q becomes the path %q", text, path)
		}
		for _, segment := range strings.Split(path, "/") {
			if segment == "" || segment == "." || segment == ".." {
				t.Fatalf("%q becomes the path %q", text, path)
			}
		}
	})
}

func TestSettingsAreChecked(t *testing.T) {
	k := provider.LiteralSetting("x")
	full := func(f func(*Config)) Config {
		c := Config{ApplianceURL: "https://conjur.example", Account: "acme", Login: "l", APIKey: k}
		f(&c)
		return c
	}
	for want, c := range map[string]Config{
		"need applianceURL beside them":                {Login: "l", APIKey: k},
		"must not go to whatever server":               {Account: "acme"},
		"login and apiKey go together":                 full(func(c *Config) { c.Login = "" }),
		"there is no way to log in: set apiKey":        full(func(c *Config) { c.Login, c.APIKey = "", provider.SecretSetting{} }),
		"there is more than one way to log in":         full(func(c *Config) { c.TokenFile = "/x" }),
		"certificate and certFile exclude":             full(func(c *Config) { c.CertFile, c.Certificate = "a", "b" }),
		"URL of Conjur is none":                        full(func(c *Config) { c.ApplianceURL = "https://u:p@conjur.example" }),
		"the certificate that is set would protect":    full(func(c *Config) { c.ApplianceURL, c.CertFile = "http://conjur.example", "a" }),
		"authnURL must be that of authn-jwt":           {ApplianceURL: "https://x", AuthnURL: "https://x/authn-oidc/x"},
		"authnURL (CONJUR_AUTHN_URL) begins with http": {ApplianceURL: "https://x", AuthnURL: "http://x/authn-jwt/x"},
		"authnURL (CONJUR_AUTHN_URL) is no URL":        {ApplianceURL: "https://x", AuthnURL: "https://u:p@x/authn-jwt/x"},
		"jwt and jwtFile exclude each other":           {ApplianceURL: "https://x", JWTServiceID: "s", JWT: k, JWTFile: "f"},
	} {
		if _, err := Definition().Build(newWorld(t).setup(c)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
