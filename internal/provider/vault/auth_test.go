package vault_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"secretless/internal/provider"
	"secretless/internal/provider/vault"
	"secretless/internal/testenv"
)

// secretAt stores a secret, and returns its id and a policy to read it.
func secretAt(t *testing.T, v *testenv.VaultServer) (id, policy string) {
	t.Helper()
	mount := v.KV(t, 2)
	v.Write(t, mount+"/data/app", map[string]any{"data": map[string]any{"value": "x"}})
	return mount + "/app", v.Policy(t, "read "+mount+"/data/app")
}

// approle makes a role and returns how to log in.
func approle(t *testing.T, v *testenv.VaultServer, fields map[string]any) (a *vault.AppRole, mount string) {
	t.Helper()
	mount = v.Method(t, "approle")
	v.Write(t, "auth/"+mount+"/role/app", fields)
	role, _ := v.Read(t, "auth/"+mount+"/role/app/role-id")["role_id"].(string)
	id := ""
	if fields["bind_secret_id"] != false {
		id, _ = v.Write(t, "auth/"+mount+"/role/app/secret-id", nil)["secret_id"].(string)
	}
	return &vault.AppRole{Mount: mount, RoleID: provider.LiteralSetting(role), SecretID: provider.LiteralSetting(id)}, mount
}

func TestToken(t *testing.T) {
	v := testenv.Vault(t)
	id, policy := secretAt(t, v)
	token := v.Token(t, map[string]any{"policies": []string{policy}, "ttl": "1h"})
	open(t, tokenConfig(v.Address(), token)).want(id, "x")
	open(t, tokenConfig(v.Address()+"/", token+"\n")).want(id, "x")

	v.Write(t, "auth/token/revoke", map[string]any{"token": token})
	s := open(t, tokenConfig(v.Address(), token))
	s.wantError(id, false, "(403)", "expired or was revoked")
	s.wantError(id, false, "(403)")
	for text, want := range map[string]string{
		"":                     "the token is empty",
		" \n":                  "the token is empty",
		`{"wrap_info":{}}`:     "no plain token",
		"hvs.a\r\nX-Evil: yes": "no plain token",
	} {
		open(t, tokenConfig(v.Address(), text)).wantError(id, false, want)
	}
}

func TestTokenFile(t *testing.T) {
	v := testenv.Vault(t)
	id, policy := secretAt(t, v)
	make := func() string { return v.Token(t, map[string]any{"policies": []string{policy}, "ttl": "1h"}) }
	first := make()
	path := testenv.WriteFile(t, "sink", first+"\n")
	s := open(t, vault.Config{Address: v.Address(), Auth: vault.Auth{TokenFile: path}})
	s.want(id, "x")
	// The agent replaces its token, and the old one ends.
	if err := os.WriteFile(path, []byte(make()), 0o600); err != nil {
		t.Fatal(err)
	}
	v.Write(t, "auth/token/revoke", map[string]any{"token": first})
	s.want(id, "x")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s.wantError(id, false, "auth.tokenFile: open "+path)
	directory := open(t, vault.Config{Address: v.Address(), Auth: vault.Auth{TokenFile: t.TempDir()}})
	directory.wantError(id, false, "not a regular file")
}

func TestAppRole(t *testing.T) {
	v := testenv.Vault(t)
	id, policy := secretAt(t, v)
	role, mount := approle(t, v, map[string]any{"token_policies": policy, "token_ttl": "1h"})
	s := open(t, vault.Config{Address: v.Address(), Auth: vault.Auth{AppRole: role}})
	s.want(id, "x")

	wrong := *role
	wrong.SecretID = provider.LiteralSetting("not it")
	bad := open(t, vault.Config{Address: v.Address(), Auth: vault.Auth{AppRole: &wrong}})
	bad.wantError(id, false, "no token: approle login at auth/"+mount+"/login was refused (400): check the role, its credentials")
	wrong.Mount = "nowhere"
	bad = open(t, vault.Config{Address: v.Address(), Auth: vault.Auth{AppRole: &wrong}})
	bad.wantError(id, false, "approle login", "auth/nowhere/login")

	unbound, _ := approle(t, v, map[string]any{"token_policies": policy, "bind_secret_id": false, "token_bound_cidrs": "127.0.0.0/8"})
	unbound.SecretID = provider.SecretSetting{}
	open(t, vault.Config{Address: v.Address(), Auth: vault.Auth{AppRole: unbound}}).want(id, "x")
}

// A token that was revoked is replaced by one login, and the lookup does not
// notice. A login that is refused is not repeated at once.
func TestLoginAgain(t *testing.T) {
	v := testenv.Vault(t)
	id, policy := secretAt(t, v)
	role, mount := approle(t, v, map[string]any{"token_policies": policy, "token_ttl": "1h"})
	fault := newFault(t, v.Address())
	s := open(t, vault.Config{Address: fault.URL, Auth: vault.Auth{AppRole: role}})
	s.want(id, "x")
	v.Write(t, "sys/leases/revoke-prefix/auth/"+mount, nil)
	s.want(id, "x")
	if n := fault.count("auth/" + mount + "/login"); n != 2 {
		t.Errorf("%d logins", n)
	}
	v.Write(t, "sys/leases/revoke-prefix/auth/"+mount, nil)
	v.Delete(t, "auth/"+mount+"/role/app")
	for range 5 {
		s.wantError(id, false, "approle login at auth/"+mount+"/login was refused (400)")
	}
	if n := fault.count("auth/" + mount + "/login"); n != 3 {
		t.Errorf("%d logins", n)
	}
}

// What a policy forbids is no reason to log in again.
func TestDeniedIsNotExpired(t *testing.T) {
	v := testenv.Vault(t)
	id, policy := secretAt(t, v)
	other, _ := secretAt(t, v)
	role, mount := approle(t, v, map[string]any{"token_policies": policy, "token_ttl": "1h"})
	fault := newFault(t, v.Address())
	s := open(t, vault.Config{Address: fault.URL, Auth: vault.Auth{AppRole: role}})
	s.want(id, "x")
	for range 10 {
		s.wantError(other, false, "permission denied (403): the token's policies")
	}
	s.want(id, "x")
	if n := fault.count("auth/" + mount + "/login"); n != 1 {
		t.Errorf("%d logins", n)
	}
}

func TestJWT(t *testing.T) {
	t.Parallel()
	v := testenv.Vault(t)
	id, policy := secretAt(t, v)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	mount := v.Method(t, "jwt")
	v.Write(t, "auth/"+mount+"/config", map[string]any{
		"jwt_validation_pubkeys": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
	})
	v.Write(t, "auth/"+mount+"/role/app", map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault", "token_policies": policy, "token_ttl": "1h",
	})
	good := webToken(t, key, map[string]any{"sub": "app", "aud": "vault", "exp": time.Now().Add(time.Hour).Unix()})
	expired := webToken(t, key, map[string]any{"sub": "app", "aud": "vault", "exp": time.Now().Add(-time.Hour).Unix()})

	s := open(t, vault.Config{Address: v.Address(), Auth: vault.Auth{JWT: &vault.JWT{Mount: mount, Role: "app", Token: provider.LiteralSetting(good)}}})
	s.want(id, "x")
	path := testenv.WriteFile(t, "jwt", expired)
	s = open(t, vault.Config{Address: v.Address(), Auth: vault.Auth{JWT: &vault.JWT{Mount: mount, Role: "app", TokenFile: path}}})
	s.wantError(id, false, "jwt login at auth/"+mount+"/login was refused (400)")
	if err := os.WriteFile(path, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	s.eventually("the pause after a refused login to end", func() bool {
		got, err := s.fetch(id)
		return err == nil && got[id] == "x"
	})
}

func webToken(t *testing.T, key *ecdsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	claims["iat"] = time.Now().Add(-2 * time.Hour).Unix()
	claims["nbf"] = claims["iat"]
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(map[string]any{"alg": "ES256", "typ": "JWT"}) + "." + part(claims)
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestCert(t *testing.T) {
	v := testenv.Vault(t)
	id, policy := secretAt(t, v)
	mount := v.Method(t, "cert")
	v.Write(t, "auth/"+mount+"/certs/app", map[string]any{
		"certificate": v.CA.CAPEM, "allowed_common_names": "app", "token_policies": policy, "token_ttl": "1h",
	})
	config := func(name string) vault.Config {
		cert, key := v.CA.Client(t, name).Files(t)
		return vault.Config{
			Address: v.TLSAddress(), CACert: v.CAFile(), ClientCert: cert, ClientKey: key,
			Auth: vault.Auth{Cert: &vault.Cert{Mount: mount, Name: "app"}},
		}
	}
	open(t, config("app")).want(id, "x")
	open(t, config("somebody")).wantError(id, false, "cert login at auth/"+mount+"/login was refused (400)")
	gone := config("app")
	s := open(t, gone)
	if err := os.Remove(gone.ClientKey); err != nil {
		t.Fatal(err)
	}
	s.wantError(id, true, "client certificate", "no such file")
}

// The kubernetes method asks an API server about the token; this one knows one.
func TestKubernetes(t *testing.T) {
	v := testenv.Vault(t)
	id, policy := secretAt(t, v)
	var reviews atomic.Int64
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwt := webToken(t, key, map[string]any{
		"iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:shop:orders", "exp": time.Now().Add(time.Hour).Unix(),
		"kubernetes.io": map[string]any{"namespace": "shop", "serviceaccount": map[string]any{"name": "orders", "uid": "7"}},
	})
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Spec struct{ Token string } `json:"spec"`
		}
		if r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" || json.NewDecoder(r.Body).Decode(&review) != nil {
			http.NotFound(w, r)
			return
		}
		reviews.Add(1)
		status := map[string]any{"authenticated": review.Spec.Token == jwt}
		if review.Spec.Token == jwt {
			status["user"] = map[string]any{"username": "system:serviceaccount:shop:orders", "uid": "7", "groups": []string{"system:serviceaccounts"}}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status})
	}))
	pair := v.CA.Server(t, testenv.CertECDSA)
	cert, err := tls.X509KeyPair([]byte(pair.CertPEM), []byte(pair.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	api.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	api.StartTLS()
	t.Cleanup(api.Close)

	mount := v.KubernetesMethod(t, api.URL, v.CA.CAPEM)
	v.Write(t, "auth/"+mount+"/role/orders", map[string]any{
		"bound_service_account_names": "orders", "bound_service_account_namespaces": "shop", "token_policies": policy, "token_ttl": "1h",
		"alias_name_source": "serviceaccount_name",
	})
	config := func(role, token string) vault.Config {
		return vault.Config{Address: v.Address(), Auth: vault.Auth{Kubernetes: &vault.Kubernetes{
			Mount: mount, Role: role, TokenFile: testenv.WriteFile(t, "token", token),
		}}}
	}
	s := open(t, config("orders", jwt))
	s.want(id, "x")
	if reviews.Load() == 0 {
		t.Error("Vault did not ask the API server")
	}
	open(t, config("billing", jwt)).wantError(id, false, "kubernetes login at auth/"+mount+"/login was refused (400)")
	missing := config("orders", jwt)
	missing.Auth.Kubernetes.TokenFile = filepath.Join(t.TempDir(), "token")
	open(t, missing).wantError(id, false, "kubernetes login: jwt: open ", "no such file or directory")
}

// A token is renewed for as long as its role lets it, and then replaced by
// another login, without a lookup that notices.
func TestTokenRenewal(t *testing.T) {
	t.Parallel()
	v := testenv.Vault(t)
	id, policy := secretAt(t, v)
	role, mount := approle(t, v, map[string]any{"token_policies": policy, "token_ttl": "2s", "token_max_ttl": "4s"})
	fault := newFault(t, v.Address())
	s := open(t, vault.Config{Address: fault.URL, Auth: vault.Auth{AppRole: role}})
	s.want(id, "x")
	s.eventually("three logins", func() bool {
		s.want(id, "x")
		return fault.count("auth/"+mount+"/login") >= 3
	})
	if fault.count("auth/token/renew-self") == 0 || !s.log.has("token renewed") || s.log.has("token was over") {
		t.Errorf("%d renewals; the log:\n%s", fault.count("auth/token/renew-self"), s.log)
	}
	s.close()
	if n := fault.count("auth/token/revoke-self"); n == 0 {
		t.Error("no token revoked at the end")
	}
	s.eventually("the tokens to go", func() bool {
		accessors, err := v.Call("LIST", "auth/token/accessors", v.Root, nil)
		return err == nil && countOf(t, v, accessors, policy) == 0
	})
}

// countOf counts the living tokens that have a policy.
func countOf(t *testing.T, v *testenv.VaultServer, list map[string]any, policy string) int {
	t.Helper()
	n := 0
	data, _ := list["data"].(map[string]any)
	keys, _ := data["keys"].([]any)
	for _, accessor := range keys {
		answer, err := v.Call("POST", "auth/token/lookup-accessor", v.Root, map[string]any{"accessor": accessor})
		if err != nil {
			continue // ended meanwhile
		}
		about, _ := json.Marshal(answer["data"])
		if strings.Contains(string(about), policy) {
			n++
		}
	}
	return n
}

// A token that was given is renewed too, but is nobody's to revoke.
func TestGivenTokenRenewal(t *testing.T) {
	t.Parallel()
	v := testenv.Vault(t)
	id, policy := secretAt(t, v)
	token := v.Token(t, map[string]any{"policies": []string{policy}, "ttl": "2s"})
	s := open(t, tokenConfig(v.Address(), token))
	s.want(id, "x")
	s.eventually("two renewals", func() bool { return strings.Count(s.log.String(), "token renewed") >= 2 })
	s.want(id, "x")
	s.close()
	if _, err := v.Call("GET", "auth/token/lookup-self", token, nil); err != nil {
		t.Errorf("the token was revoked: %v", err)
	}

	final := v.Token(t, map[string]any{"policies": []string{policy}, "ttl": "2s", "renewable": false})
	s = open(t, tokenConfig(v.Address(), final))
	s.want(id, "x")
	s.eventually("the warning", func() bool { return s.log.has("token ends and cannot be renewed") })
	s.eventually("the end", func() bool {
		_, err := s.fetch(id)
		return err != nil && strings.Contains(err.Error(), "403")
	})
}
