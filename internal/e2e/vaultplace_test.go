//go:build unix

package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"secretless/internal/testenv"
)

// vaultPlace is a real Vault behind a front that repeats whatever it was sent
// once it is broken. The token and the role's secret id are secrets as well.
func vaultPlace(t *testing.T, env map[string]string, password string) place {
	v := testenv.Vault(t)
	kv, method := v.KV(t, 2), v.Method(t, "approle")
	v.Write(t, kv+"/data/orders", map[string]any{"data": map[string]any{"password": password, "pin": 1}})
	policy := v.Policy(t, "read "+kv+"/data/*")
	v.Write(t, "auth/"+method+"/role/app", map[string]any{"token_policies": policy})
	role, _ := v.Read(t, "auth/"+method+"/role/app/role-id")["role_id"].(string)
	secretID, _ := v.Write(t, "auth/"+method+"/role/app/secret-id", nil)["secret_id"].(string)
	env["VAULT_SECRET_ID"] = secretID
	token := v.Token(t, map[string]any{"policies": []string{policy}, "ttl": "1h"})
	env["A_VAULT_TOKEN"] = token

	to, err := url.Parse(v.Address())
	if err != nil {
		t.Fatal(err)
	}
	var broken atomic.Bool
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: &http.Transport{DisableKeepAlives: true},
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !broken.Load() {
			proxy.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Location", "http://"+password+"/?"+r.Header.Get("X-Vault-Token"))
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"errors":["token ` + r.Header.Get("X-Vault-Token") + ` may not read ` + password + `"]}`))
	}))
	t.Cleanup(front.Close)
	return place{
		providers: []string{
			"v: { type: vault, address: " + front.URL + ", auth: { approle: { mount: " + method + ", roleId: " + role +
				", secretId: { from: env, get: VAULT_SECRET_ID } } } }",
			"with-token: { type: vault, address: " + front.URL + ", auth: { token: { from: env, get: A_VAULT_TOKEN } } }",
		},
		password: "{ from: v, get: \"" + kv + "/orders#password\" }", missing: "{ from: v, get: \"" + kv + "/orders#passwort\" }",
		secrets: []string{secretID, token},
		broken:  "{ from: with-token, get: \"" + kv + "/broken#password\" }", breakDown: func() { broken.Store(true) },
	}
}
