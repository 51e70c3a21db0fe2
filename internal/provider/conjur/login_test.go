package conjur

import (
	"context"
	"crypto/tls"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"secretless/internal/provider"
	"secretless/internal/provider/providertest"
	"secretless/internal/secret"
	"secretless/internal/testenv"
	"secretless/internal/testenv/conjurserver"
)

const jwt = "eyJ.jwt." + providertest.Canary

func (w *world) file(name, text string) string {
	w.Helper()
	path := filepath.Join(w.TempDir(), name)
	w.write(path, text)
	return path
}

func (w *world) write(path, text string) {
	w.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
}

func TestAPIKey(t *testing.T) {
	w := newWorld(t)
	w.works(w.open(Config{}))
	w.with("CONJUR_AUTHN_API_KEY", "wrong-"+providertest.Canary)
	w.fails(w.open(Config{}), "db/password", "Conjur does not accept login and API key", false)
}

func TestTokenFile(t *testing.T) {
	w := newWorld(t).without()
	path := w.file("token", w.conjur.Token("app"))
	w.with("CONJUR_AUTHN_TOKEN_FILE", path)
	p := w.open(Config{})
	w.works(p)
	w.conjur.RevokeTokens()
	w.fails(p, "db/password", "Conjur does not accept the access token in "+path+"; see that it is kept fresh", false)
	w.write(path, w.conjur.Token("app")) // the sidecar does so
	w.works(p)
	w.write(path, "no token "+providertest.Canary)
	w.fails(p, "db/password", "the access token: "+path+" holds none", false)
	w.write(path, w.conjur.Token("app"))
	w.works(p)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	w.fails(p, "db/password", "the access token: reading "+path+": no such file or directory", false)
	if n := w.conjur.Count("/authn"); n != 0 {
		t.Errorf("%d logins", n)
	}
}

func TestJWT(t *testing.T) {
	w := newWorld(t).without()
	w.conjur.SetJWT(jwt)
	path := w.file("jwt", jwt+"\n")
	wasAsked := func(want string) {
		t.Helper()
		if w.conjur.Count(want) == 0 {
			t.Errorf("%s was not asked: %v", want, w.conjur.Requests())
		}
	}
	w.with("CONJUR_AUTHN_JWT_SERVICE_ID", "ci", "JWT_TOKEN_PATH", path)
	w.works(w.open(Config{}))
	wasAsked("/authn-jwt/ci/acme/authenticate")
	w.with("CONJUR_AUTHN_JWT_HOST_ID", "host/ci")
	w.works(w.open(Config{}))
	wasAsked("/authn-jwt/ci/acme/host%2Fci/authenticate")
	w.with("CONJUR_AUTHN_JWT_TOKEN", jwt, "JWT_TOKEN_PATH", "/nonexistent")
	w.works(w.open(Config{}))
	w.with("CONJUR_AUTHN_JWT_SERVICE_ID", "", "CONJUR_AUTHN_JWT_TOKEN", "", "CONJUR_AUTHN_URL", w.conjur.URL+"/authn-jwt/k8s", "JWT_TOKEN_PATH", path)
	w.works(w.open(Config{}))
	wasAsked("/authn-jwt/k8s/acme/host%2Fci/authenticate")
	w.write(path, "other-"+providertest.Canary)
	w.fails(w.open(Config{}), "db/password", "Conjur does not accept the JWT", false)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	w.fails(w.open(Config{}), "db/password", "the JWT: reading "+path+": no such file or directory", false)
	w.with("CONJUR_AUTHN_URL", w.conjur.URL+"/authn-oidc/x")
	w.fails(w.open(Config{}), "db/password", "CONJUR_AUTHN_URL is that of no authenticator that the broker knows", false)
	w.works(w.open(Config{ApplianceURL: w.conjur.URL, Account: "acme", JWTServiceID: "ci", JWT: provider.LiteralSetting(jwt)}))
}

// What conjur init and conjur login have left.
func TestFilesOfTheCommandLine(t *testing.T) {
	w := newWorld(t).without()
	url := w.env["CONJUR_APPLIANCE_URL"]
	w.with("CONJUR_APPLIANCE_URL", "", "CONJUR_ACCOUNT", "")
	home := t.TempDir()
	w.with("HOME", home)
	w.fails(w.open(Config{}), "db/password", "the URL of Conjur is not known: set CONJUR_APPLIANCE_URL, or applianceURL in the instance's settings", false)
	w.write(filepath.Join(home, ".conjurrc"), "---\nappliance_url: "+url+"\n")
	w.fails(w.open(Config{}), "db/password", "the account is not known: set CONJUR_ACCOUNT", false)
	w.write(filepath.Join(home, ".conjurrc"), "---\nappliance_url: "+url+"\naccount: acme\nplugins: []\n")
	p := w.open(Config{})
	w.fails(p, "db/password", "there is no way to log in", false)
	w.write(filepath.Join(home, ".netrc"), "# "+providertest.Canary+"\nmachine other login a password b\nmachine "+url+"/authn\n  login "+login+"\n  password "+key+"\n")
	w.works(p)
	w.write(filepath.Join(home, ".conjurrc"), "conjur_url: "+url+"\nconjur_account: acme\nnetrc_path: "+w.file("n", "default login "+login+" password "+key)+"\n")
	w.works(w.open(Config{}))
	w.with("CONJUR_NETRC_PATH", w.file("broken", "password "+providertest.Canary))
	w.fails(w.open(Config{}), "db/password", "broken is no .netrc file", false)
	w.with("CONJURRC", w.file("rc", "\t: "+providertest.Canary))
	w.fails(w.open(Config{}), "db/password", "rc is no YAML as the Conjur command line writes it", false)
}

// Credentials of the environment must not go to the server of the settings,
// nor the other way round.
func TestSettingsAndEnvironmentAreNotMixed(t *testing.T) {
	w := newWorld(t)
	other := newWorld(t)
	other.conjur.SetKey("me", "mine")
	p := w.open(Config{ApplianceURL: other.conjur.URL, Account: "acme", Login: "me", APIKey: provider.LiteralSetting("mine")})
	other.works(p)
	if n := len(w.conjur.Requests()); n != 0 {
		t.Errorf("%d requests to the server of the environment", n)
	}
}

// rotating gives an API key that changes.
type rotating struct {
	mu  sync.Mutex
	key string
}

func (r *rotating) Fetch(context.Context, []string) (map[string]provider.Lease, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return map[string]provider.Lease{"k": {Value: secret.Copy(r.key)}}, nil
}

func TestRotatedKeyOfAnotherProvider(t *testing.T) {
	w := newWorld(t).without()
	source := &rotating{key: key}
	i := provider.NewInstance(provider.InstanceOptions{Name: "file", Provider: source, Cache: time.Hour})
	defer i.Close()
	setting := provider.NewSetting("conjur", provider.Ref{Instance: i, Get: "k"})
	defer setting.Close()
	p := w.open(Config{ApplianceURL: w.conjur.URL, Account: "acme", Login: login, APIKey: setting})
	w.works(p)
	w.conjur.SetKey(login, "rotated")
	w.conjur.RevokeTokens()
	w.fails(p, "db/password", "Conjur does not accept login and API key", false)
	source.mu.Lock()
	source.key = "rotated"
	source.mu.Unlock()
	w.works(p)
}

func TestRotatedJWTOfAnotherProvider(t *testing.T) {
	w := newWorld(t).without()
	w.conjur.SetJWT("second")
	source := &rotating{key: "first"}
	i := provider.NewInstance(provider.InstanceOptions{Name: "exec", Provider: source, Cache: time.Hour})
	defer i.Close()
	setting := provider.NewSetting("conjur", provider.Ref{Instance: i, Get: "k"})
	defer setting.Close()
	p := w.open(Config{ApplianceURL: w.conjur.URL, Account: "acme", JWTServiceID: "ci", JWT: setting})
	w.fails(p, "db/password", "Conjur does not accept the JWT", false)
	source.mu.Lock()
	source.key = "second"
	source.mu.Unlock()
	w.works(p)
}

func TestOneTokenForManyLookups(t *testing.T) {
	w := newWorld(t)
	w.set("db/password", "x")
	p := w.open(Config{})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := fetch(t.Context(), p, "db/password"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	_, _ = fetch(t.Context(), p, "missing") // is no reason to log in again
	w.works(p)
	if n := w.conjur.Count("/authn"); n != 1 {
		t.Errorf("%d logins", n)
	}
}

// A token that Conjur refuses before its time (restart, restore, revoked) is
// replaced within the lookup.
func TestRevokedToken(t *testing.T) {
	w := newWorld(t)
	p := w.open(Config{})
	w.works(p)
	w.conjur.RevokeTokens()
	w.works(p)
	if n := w.conjur.Count("/authn"); n != 2 {
		t.Errorf("%d logins", n)
	}
}

// A token is renewed at three quarters of its life; where that fails it is good
// until the end, and the failure does not outlive it.
func TestRenewal(t *testing.T) {
	w := newWorld(t)
	w.conjur.SetTokenLife(time.Minute)
	p := w.open(Config{})
	w.works(p)
	s := p.session
	age := func(d time.Duration) {
		s.token.renew, s.token.ends = s.token.renew.Add(-d), s.token.ends.Add(-d)
	}
	w.conjur.Misbehave(conjurserver.Busy, "/authn", "")
	age(46 * time.Second)
	if !s.token.ends.After(time.Now().Add(-2 * time.Second)) {
		t.Fatal("the test's token has ended")
	}
	s.token.ends = time.Now().Add(10 * time.Second)
	w.works(p) // the old one
	s.token.ends = time.Now()
	w.fails(p, "db/password", "logging in: Conjur has trouble of its own (HTTP 503)", true)
	w.conjur.Misbehave(conjurserver.Well, "", "")
	w.works(p)
	if n := w.conjur.Count("/authn"); n != 4 {
		t.Errorf("%d logins: %v", n, w.conjur.Requests())
	}
	w.conjur.SetTokenLife(8 * time.Minute) // a token that does not say how long
	s.token.renew = time.Now()
	w.works(p)
	if left := time.Until(s.token.ends); left < 7*time.Minute || left > 8*time.Minute {
		t.Errorf("default life %v", left)
	}
	if left := time.Until(s.token.renew); left < 5*time.Minute || left > 6*time.Minute {
		t.Errorf("renewed after %v", left)
	}
}

func TestAccessToken(t *testing.T) {
	w := newWorld(t)
	w.set("a", "v")
	p := w.open(Config{})
	leases, err := p.Fetch(t.Context(), []string{"accessToken", "a"})
	if err != nil {
		t.Fatal(err)
	}
	l := leases["accessToken"]
	if left := time.Until(l.Expires); left < 7*time.Minute || left > 8*time.Minute {
		t.Errorf("good for %v", left)
	}
	token := string(l.Value.Bytes())
	if !strings.HasPrefix(token, `{"p`) || string(leases["a"].Value.Bytes()) != "v" {
		t.Errorf("got %q", token)
	}
	again, err := fetch(t.Context(), p, "accessToken")
	if err != nil || again["accessToken"] != token {
		t.Errorf("another token: %v", err)
	}
	p.Rejected(l.ID)
	again, err = fetch(t.Context(), p, "accessToken")
	if err != nil || again["accessToken"] == token {
		t.Errorf("a rejected token was given again: %v", err)
	}
	w.set("accessToken", "a variable")
	if got, err := fetch(t.Context(), p, "variable:accessToken"); err != nil || got["variable:accessToken"] != "a variable" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestFaults(t *testing.T) {
	elsewhere := newWorld(t)
	for name, c := range map[string]struct {
		kind      conjurserver.Kind
		want      string
		transient bool
	}{
		"broken":   {conjurserver.Broken, "Conjur has trouble of its own (HTTP 500)", true},
		"busy":     {conjurserver.Busy, "Conjur has trouble of its own (HTTP 503)", true},
		"huge":     {conjurserver.Huge, "the answer is larger than 8 MiB", false},
		"redirect": {conjurserver.Redirect, "Conjur answered with a redirect (HTTP 302), which is not followed", false},
		"hang-up":  {conjurserver.Hangup, "the connection to Conjur broke", true},
	} {
		for _, path := range []string{"/authn", "/secrets"} {
			t.Run(name+path, func(t *testing.T) {
				w := newWorld(t)
				p := w.open(Config{})
				if path == "/secrets" {
					w.works(p)
				}
				w.conjur.Misbehave(c.kind, path, elsewhere.conjur.URL+"/"+providertest.Canary)
				w.fails(p, "db/password", c.want, c.transient)
				w.conjur.Misbehave(conjurserver.Well, "", "")
				w.works(p)
			})
		}
	}
	if n := len(elsewhere.conjur.Requests()); n != 0 {
		t.Errorf("%d requests followed a redirect", n)
	}
	w := newWorld(t)
	p := w.open(Config{})
	w.conjur.Misbehave(conjurserver.Garbage, "/authn", providertest.Canary)
	w.fails(p, "a", "logging in: what came is no access token of Conjur", true)
	w.conjur.Misbehave(conjurserver.Garbage, "/secrets", providertest.Canary)
	_, err := fetch(t.Context(), p, "a", "b")
	if err == nil || !strings.Contains(err.Error(), "the answer of Conjur cannot be read") || strings.Contains(err.Error(), providertest.Canary) {
		t.Errorf("got %v", err)
	}
	w.conjur.Misbehave(conjurserver.Slow, "/secrets", "")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := fetch(ctx, p, "a"); err == nil || !strings.Contains(err.Error(), "waiting for Conjur (reading variables): context deadline exceeded") {
		t.Errorf("got %v", err)
	}
	w.conjur.Misbehave(conjurserver.Well, "", "")
	w.works(p)
	w.with("CONJUR_APPLIANCE_URL", "http://127.0.0.1:1")
	w.fails(w.open(Config{}), "a", "cannot connect to Conjur: dial tcp 127.0.0.1:1: connect: connection refused; check applianceURL (CONJUR_APPLIANCE_URL), and that Conjur runs there", true)
	if !strings.Contains(w.log.String(), "asked without TLS") {
		t.Errorf("no warning: %s", w.log.String())
	}
	p.Close()
	w.fails(p, "a", "provider is closed", false)
}

// secured is a double that speaks TLS.
func secured(t *testing.T, cert testenv.Cert) (*world, string) {
	t.Helper()
	pki := testenv.CA(t)
	pair := pki.Server(t, cert)
	c, err := tls.X509KeyPair([]byte(pair.CertPEM), []byte(pair.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	s, err := conjurserver.Start(&c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.SetKey(login, key)
	w := newWorld(t)
	w.conjur = s
	return w.with("CONJUR_APPLIANCE_URL", s.URL), pki.CAPEM
}

func TestCertificates(t *testing.T) {
	w, ca := secured(t, testenv.CertECDSA)
	w.fails(w.open(Config{}), "a", "the certificate of Conjur is not trusted; set CONJUR_SSL_CERTIFICATE", false)
	w.works(w.with("CONJUR_SSL_CERTIFICATE", ca).open(Config{}))
	path := w.file("ca.pem", testenv.CA(t).OtherCAPEM)
	w.with("CONJUR_SSL_CERTIFICATE", "", "CONJUR_CERT_FILE", path)
	p := w.open(Config{})
	w.fails(p, "a", "the certificate of Conjur is not trusted", false)
	w.write(path, ca) // is noticed without a restart
	w.works(p)
	w.works(w.with("CONJUR_APPLIANCE_URL", strings.TrimPrefix(w.conjur.URL, "https://")).open(Config{}))
	w.works(w.open(Config{ApplianceURL: w.conjur.URL + "/", Account: "acme", Login: login, APIKey: provider.LiteralSetting(key), CertFile: path}))
	w.write(path, "none")
	w.fails(w.open(Config{}), "a", "certificate of Conjur is no PEM with a certificate", false)

	wrong, ca := secured(t, testenv.CertWrongHost)
	wrong.fails(wrong.with("CONJUR_SSL_CERTIFICATE", ca).open(Config{}), "a", "the certificate of Conjur is not trusted: it is for another host", false)
	expired, ca := secured(t, testenv.CertExpired)
	expired.fails(expired.with("CONJUR_SSL_CERTIFICATE", ca).open(Config{}), "a", "the certificate of Conjur is not trusted: it has expired", false)
}

// A JWT goes to the authenticator with TLS where Conjur has it, and no key
// that is not encrypted goes through a proxy.
func TestNothingInTheClear(t *testing.T) {
	listener, _ := secured(t, testenv.CertECDSA)
	plain := newWorld(t).without()
	plain.conjur.SetJWT(jwt)
	plain.with("CONJUR_APPLIANCE_URL", listener.conjur.URL, "CONJUR_AUTHN_URL", plain.conjur.URL+"/authn-jwt/ci", "CONJUR_AUTHN_LOGIN", "host/ci",
		"CONJUR_AUTHN_JWT_TOKEN", jwt)
	plain.fails(plain.open(Config{}), "a", "authnURL (CONJUR_AUTHN_URL) begins with http://", false)
	plain.with("CONJUR_AUTHN_URL", plain.conjur.URL+"/authn-k8s/ci", "MY_POD_NAME", "p", "MY_POD_NAMESPACE", "n")
	plain.fails(plain.open(Config{}), "a", "authnURL (CONJUR_AUTHN_URL) begins with http://", false)
	if n := len(plain.conjur.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
	proxied := proxyOf(environment(func(name string) (string, bool) {
		return map[string]string{"http_proxy": "http://proxy.invalid:3128", "HTTPS_PROXY": "http://proxy.invalid:3128"}[name], true
	}))
	for address, want := range map[string]bool{"http://conjur.example/": false, "https://conjur.example/": true} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if through, err := proxied(u); err != nil || (through != nil) != want {
			t.Errorf("%s: through %v, %v", address, through, err)
		}
	}
}

// The whole of authn-k8s: a request for a certificate, which the double puts
// where Conjur would put it through Kubernetes, and a login that shows it.
func TestPod(t *testing.T) {
	w, ca := secured(t, testenv.CertECDSA)
	w.without().with("CONJUR_SSL_CERTIFICATE", ca, "CONJUR_AUTHN_URL", w.conjur.URL+"/authn-k8s/prod", "CONJUR_AUTHN_LOGIN", "host/conjur/authn-k8s/prod/apps/orders/service_account/orders")
	w.fails(w.open(Config{}), "a", "authn-k8s needs MY_POD_NAME and MY_POD_NAMESPACE", false)
	path := filepath.Join(t.TempDir(), "client.pem")
	w.with("MY_POD_NAME", "orders-1", "MY_POD_NAMESPACE", "prod", "CONJUR_CLIENT_CERT_PATH", path)
	w.conjur.PodFile = path
	w.write(path, "left from before")
	p := w.open(Config{})
	w.works(p)
	if _, err := os.Stat(path); err == nil {
		t.Error("the certificate stays in the file system")
	}
	w.conjur.RevokeTokens()
	w.works(p)
	if in, out := w.conjur.Count("/authn-k8s/prod/inject_client_cert"), w.conjur.Count("/authn-k8s/prod/acme/"); in != 1 || out != 2 {
		t.Errorf("%d certificates for %d logins", in, out)
	}
	p.session.pod.until = time.Now() // the certificate ends
	w.conjur.RevokeTokens()
	w.works(p)
	if in := w.conjur.Count("/authn-k8s/prod/inject_client_cert"); in != 2 {
		t.Errorf("%d certificates", in)
	}

	w.conjur.PodFile = filepath.Join(t.TempDir(), "elsewhere")
	p.session.pod.until = time.Now()
	w.conjur.RevokeTokens()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := fetch(ctx, p, "a"); err == nil || !strings.Contains(err.Error(), "Conjur put no client certificate at "+path) {
		t.Errorf("got %v", err)
	}
	w.fails(w.with("MY_POD_NAME", "impostor").open(Config{}), "a", "Conjur gives this pod no client certificate (HTTP 401)", false)
	w.fails(w.with("CONJUR_AUTHN_LOGIN", "alice").open(Config{}), "a", "login, to be a host: host/", false)
}

func TestSplitHost(t *testing.T) {
	for login, want := range map[string][2]string{
		"host/app":         {"host", "app"},
		"host/policy/app":  {"host.policy", "app"},
		"host/a/b/c":       {"host", "a.b.c"},
		"host/a/b/c/d/e/f": {"host.a.b.c", "d.e.f"},
	} {
		if prefix, suffix := splitHost(login); prefix != want[0] || suffix != want[1] {
			t.Errorf("%s: %s, %s", login, prefix, suffix)
		}
	}
}
