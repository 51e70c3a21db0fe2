package vault_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"secretless/internal/provider"
	"secretless/internal/provider/providertest"
	"secretless/internal/provider/vault"
	"secretless/internal/testenv"
)

// What a server answers is not repeated, whatever it is.
func TestAnswers(t *testing.T) {
	v := testenv.Vault(t)
	id, policy := secretAt(t, v)
	fault := newFault(t, v.Address())
	s := open(t, tokenConfig(fault.URL, v.Token(t, map[string]any{"policies": []string{policy}, "ttl": "1h"})))
	s.want(id, "x")
	const canary = providertest.Canary
	for name, test := range map[string]struct {
		status    int
		body      string
		transient bool
		want      string
	}{
		"internal error":  {500, `{"errors":["` + canary + `"]}`, true, "the server failed (500)"},
		"bad gateway":     {502, "<html>" + canary, true, "the server failed (502)"},
		"sealed":          {503, `{"errors":["Vault is sealed"]}`, true, "Vault is sealed (503)"},
		"maintenance":     {503, canary, true, "the server failed (503)"},
		"too many":        {429, `{"errors":["` + canary + `"]}`, true, "a rate limit quota is used up (429)"},
		"standby":         {473, "", true, "the server is a standby (473)"},
		"behind":          {412, "", true, "not caught up with the cluster"},
		"not found":       {404, `{"errors":[]}`, false, "no secret at this path (404)"},
		"no such page":    {404, canary, false, "no secret at this path (404)"},
		"malformed":       {400, `{"errors":["` + canary + `"]}`, false, "refuses the request as wrong (400)"},
		"plain to TLS":    {400, "Client sent an HTTP request to an HTTPS server.", false, "address must start with https://"},
		"teapot":          {418, canary, false, "unexpected answer 418"},
		"a web page":      {200, "<html>" + canary, false, "the answer is not Vault's"},
		"nothing":         {200, "", false, "the answer is not Vault's"},
		"no content":      {204, "", false, "the answer holds no secret"},
		"null":            {200, "null", false, "the answer holds no secret"},
		"no data":         {200, `{"data":null}`, false, "the answer holds no secret"},
		"data of a kind":  {200, `{"data":["` + canary + `"]}`, false, "no data, as the KV engine's version 2"},
		"wrong inside":    {200, `{"data":{"data":["` + canary + `"]}}`, false, "no data, as the KV engine's version 2"},
		"wrong types":     {200, `{"data":{"data":{"value":"` + canary + `"}},"lease_duration":"` + canary + `"}`, false, "the answer is not Vault's"},
		"wrapped":         {200, `{"wrap_info":{"token":"` + canary + `"}}`, false, "the answer holds no secret"},
		"endless":         {200, `{"data":{"data":{"value":"` + strings.Repeat("x", 5<<20) + `"}}}`, false, "longer than 4194304 bytes"},
		"endless refusal": {500, strings.Repeat("x", 5<<20), false, "longer than 4194304 bytes"},
	} {
		answer := status(test.status, test.body)
		fault.with(func(w http.ResponseWriter, r *http.Request) bool {
			return !strings.HasPrefix(r.URL.Path, "/v1/sys/internal/") && answer(w, r)
		})
		_, err := s.fetch(id)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "provider under-test: "+id+": ") {
			t.Errorf("%s: got %.300v, want %q", name, err, test.want)
			continue
		}
		if e, ok := errors.AsType[*provider.Error](err); !ok || e.Transient != test.transient {
			t.Errorf("%s: transient is %v", name, e.Transient)
		}
		if strings.Contains(err.Error(), canary) || len(err.Error()) > 500 {
			t.Errorf("%s: the error quotes the answer: %.300v", name, err)
		}
	}
	fault.with(nil)
	s.want(id, "x")
	if s.log.has(canary) {
		t.Errorf("the log quotes an answer: %s", s.log)
	}
}

// A server that answers slowly, or with half an answer, costs its own lookup
// and no more.
func TestSlow(t *testing.T) {
	v := testenv.Vault(t)
	id, policy := secretAt(t, v)
	fault := newFault(t, v.Address())
	s := open(t, tokenConfig(fault.URL, v.Token(t, map[string]any{"policies": []string{policy}, "ttl": "1h"})))
	s.want(id, "x")
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"silent": func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true },
		"half": func(w http.ResponseWriter, r *http.Request) bool {
			_, _ = w.Write([]byte(`{"data":{"data":{"val`))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return true
		},
	} {
		fault.with(answer)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_, err := s.Fetch(ctx, []string{id})
		cancel()
		e, ok := errors.AsType[*provider.Error](err)
		if !errors.Is(err, context.DeadlineExceeded) || !ok || !e.Transient || !strings.Contains(err.Error(), "the server does not answer (check address") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	fault.with(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"data":{"data":{"val`))
		return true
	})
	s.wantError(id, true, "cannot reach the server")
	fault.with(nil)
	s.want(id, "x")
}

func TestTLS(t *testing.T) {
	v := testenv.Vault(t)
	id, policy := secretAt(t, v)
	token := v.Token(t, map[string]any{"policies": []string{policy}, "ttl": "1h"})
	config := func(change func(*vault.Config)) vault.Config {
		c := tokenConfig(v.TLSAddress(), token)
		c.CACert = v.CAFile()
		change(&c)
		return c
	}
	open(t, config(func(*vault.Config) {})).want(id, "x")
	open(t, config(func(c *vault.Config) { c.TLSServerName = "localhost" })).want(id, "x")
	for want, change := range map[string]func(*vault.Config){
		"signed by an authority that is not trusted; name its CA in caCert": func(c *vault.Config) { c.CACert = "" },
		"is signed by an authority that is not trusted":                     func(c *vault.Config) { c.CACert = testenv.WriteFile(t, "ca", v.CA.OtherCAPEM) },
		"certificate is for another name":                                   func(c *vault.Config) { c.TLSServerName = "vault.example" },
		"the server does not speak TLS": func(c *vault.Config) {
			c.Address = "https" + strings.TrimPrefix(v.Address(), "http")
		},
		"address must start with https://": func(c *vault.Config) { c.Address = "http" + strings.TrimPrefix(v.TLSAddress(), "https") },
	} {
		open(t, config(change)).wantError(id, false, want)
	}
}

// A token of which nothing is known yet, since nobody answers, has no end.
func TestNoEndOfUnknownToken(t *testing.T) {
	t.Parallel()
	s := open(t, tokenConfig("http://127.0.0.1:1", "t"))
	s.wantError("kv/app#value", true, "cannot reach the server")
	deadline := time.Now().Add(10 * time.Second)
	for !strings.Contains(s.log.String(), "cannot ask how long the token is good yet") {
		if time.Now().After(deadline) {
			t.Fatalf("the log:\n%s", s.log)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if strings.Contains(s.log.String(), "0001-01-01") {
		t.Errorf("the log:\n%s", s.log)
	}
}

// A server that is down, comes back, is sealed and unsealed.
func TestRestart(t *testing.T) {
	t.Parallel()
	v := testenv.NewVault(t)
	id, policy := secretAt(t, v)
	role, _ := approle(t, v, map[string]any{"token_policies": policy, "token_ttl": "1h"})
	s := open(t, vault.Config{Address: v.Address(), Auth: vault.Auth{AppRole: role}})
	s.want(id, "x")
	v.Kill()
	s.wantError(id, true, "cannot reach the server", "refused")
	v.Restart(t)
	s.want(id, "x") // with the same token
	v.Seal(t)
	s.wantError(id, true, "Vault is sealed (503)")
	v.Unseal(t)
	s.want(id, "x")
	v.Stop()
	began := time.Now()
	s.close() // and its token cannot be revoked
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("Close took %v", took)
	}
	if !s.log.has("cannot revoke the token") {
		t.Errorf("the log:\n%s", s.log)
	}
}

const errRedirected = "a redirect to a place that is not the cluster's leader"

// Only a standby's redirect to the leader is followed; the token goes nowhere
// else.
func TestRedirects(t *testing.T) {
	v := testenv.Vault(t)
	id, policy := secretAt(t, v)
	token := v.Token(t, map[string]any{"policies": []string{policy}, "ttl": "1h"})
	leader, stranger := newFault(t, v.Address()), newFault(t, v.Address())
	var named atomic.Value
	named.Store(leader.URL)
	standby := func(code int, to func(*http.Request) string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/v1/sys/leader" {
				_, _ = fmt.Fprintf(w, `{"ha_enabled":true,"leader_address":%q}`, named.Load())
				return true
			}
			w.Header().Set("Location", to(r))
			w.WriteHeader(code)
			return true
		}
	}
	same := func(base string) func(*http.Request) string {
		return func(r *http.Request) string { return base + r.URL.RequestURI() }
	}
	fault := newFault(t, v.Address())
	s := open(t, tokenConfig(fault.URL, token))
	fault.with(standby(307, same(leader.URL)))
	s.want(id, "x")
	s.want(id+"?version=1", "x")
	for _, r := range fault.requests() {
		if r.path == "sys/leader" && r.header.Get("X-Vault-Token") != "" {
			t.Error("the question who leads carried the token")
		}
	}
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"a stranger":     standby(307, same(stranger.URL)),
		"moved for good": standby(301, same(leader.URL)),
		"a login page":   standby(302, func(*http.Request) string { return stranger.URL + "/login" }),
		"another path":   standby(307, func(*http.Request) string { return leader.URL + "/v1/sys/seal" }),
		"another scheme": standby(307, same("https"+strings.TrimPrefix(leader.URL, "http"))),
		"a user":         standby(307, same("http://u:p@"+strings.TrimPrefix(leader.URL, "http://"))),
		"nowhere":        status(307, ""),
		"with no leader": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Location", stranger.URL)
			w.WriteHeader(307)
			return true
		},
	} {
		fault.with(answer)
		if _, err := s.fetch(id); err == nil || !strings.Contains(err.Error(), errRedirected) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	named.Store(stranger.URL) // which the leader's redirect does not lead to
	fault.with(standby(307, same(leader.URL)))
	s.wantError(id, false, "a redirect to a place")
	named.Store(leader.URL)
	leader.with(standby(307, same(fault.URL))) // and round it goes
	s.wantError(id, false, "a redirect to a place")
	if n := len(stranger.requests()); n != 0 {
		t.Errorf("the stranger got %d requests", n)
	}
}

// A namespace is part of each request; the namespace and token of the
// process's environment are part of none.
func TestHeaders(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "of-the-process")
	t.Setenv("VAULT_NAMESPACE", "of-the-process")
	t.Setenv("VAULT_HEADERS", `{"X-Of":"the process"}`)
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("VAULT_HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("VAULT_ADDR", "http://127.0.0.1:1")
	fault := newFault(t, "http://127.0.0.1:1")
	fault.with(status(200, `{"data":{"value":"x"}}`))
	c := tokenConfig(fault.URL, "mine")
	c.Namespace = "team/a"
	s := open(t, c)
	s.want("secret/app", "x")
	s.want("secret/app", "x")
	for _, r := range fault.requests() {
		if h := r.header; h.Get("X-Vault-Token") != "mine" || h.Get("X-Vault-Namespace") != "team/a" || h.Get("X-Of") != "" || h.Get("X-Vault-Request") != "true" {
			t.Errorf("headers %v", h)
		}
	}
	agent := newFault(t, "http://127.0.0.1:1") // one of its own: the first token is looked after in the background
	agent.with(status(200, `{"data":{"value":"x"}}`))
	byAgent := open(t, vault.Config{Address: agent.URL, Auth: vault.Auth{Agent: true}})
	byAgent.want("secret/app", "x")
	for _, r := range agent.requests() {
		h := r.header
		if _, ok := h["X-Vault-Token"]; ok || h.Get("X-Vault-Namespace") != "" {
			t.Errorf("headers %v", h)
		}
	}
}

// Two instances read from two servers, each with its own token.
func TestTwoVaults(t *testing.T) {
	one, two := newFault(t, "http://127.0.0.1:1"), newFault(t, "http://127.0.0.1:1")
	echo := func(w http.ResponseWriter, r *http.Request) bool {
		_, _ = w.Write([]byte(`{"data":{"value":"` + r.Header.Get("X-Vault-Token") + `"}}`))
		return true
	}
	one.with(echo)
	two.with(echo)
	open(t, tokenConfig(one.URL, "first")).want("secret/app", "first")
	open(t, tokenConfig(two.URL, "second")).want("secret/app", "second")
}

// A proxy is used where the configuration names one.
func TestProxy(t *testing.T) {
	v := testenv.Vault(t)
	id, policy := secretAt(t, v)
	var proxied atomic.Int64
	behind := newFault(t, v.Address())
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxied.Add(1)
		behind.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	c := withToken(t, v, policy)
	c.Address, c.Proxy = "http://vault.invalid:8200", proxy.URL
	open(t, c).want(id, "x")
	if proxied.Load() == 0 {
		t.Error("the proxy was not used")
	}
}
