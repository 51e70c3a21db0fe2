package vault_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"secretless/internal/provider"
	"secretless/internal/provider/vault"
	"secretless/internal/testenv"
)

func TestMistakes(t *testing.T) {
	token := vault.Auth{Token: provider.LiteralSetting("x")}
	role := provider.LiteralSetting("x")
	for _, test := range []struct {
		config vault.Config
		vars   string
		want   string
	}{
		{vault.Config{Address: "vault:8200", Auth: token}, "", "must start with https://"},
		{vault.Config{Address: "ftp://vault", Auth: token}, "", "must start with https://"},
		{vault.Config{Address: "https://", Auth: token}, "", "must start with https://"},
		{vault.Config{Address: "https://u:p@vault", Auth: token}, "", "without user"},
		{vault.Config{Address: "https://vault?x", Auth: token}, "", "without user, query"},
		{vault.Config{Address: "https://vault"}, "", "auth is missing"},
		{vault.Config{Address: "https://vault"}, "VAULT_TOKEN=x", "auth is missing"},
		{vault.Config{Address: "https://vault", Auth: vault.Auth{Token: role, TokenFile: "x", Agent: true}}, "", "auth has token and tokenFile and agent: choose one"},
		{vault.Config{Address: "https://vault", Auth: vault.Auth{AppRole: &vault.AppRole{}}}, "", "auth.approle needs roleId"},
		{vault.Config{Address: "https://vault", Auth: vault.Auth{JWT: &vault.JWT{}}}, "", "auth.jwt needs either token or tokenFile"},
		{vault.Config{Address: "https://vault", Auth: vault.Auth{JWT: &vault.JWT{Token: role, TokenFile: "x"}}}, "", "auth.jwt needs either token or tokenFile"},
		{vault.Config{Address: "https://vault", Auth: vault.Auth{Cert: &vault.Cert{}}}, "", "set clientCert and clientKey"},
		{vault.Config{Address: "https://vault", ClientCert: "x", Auth: token}, "", "belong together"},
		{vault.Config{Address: "https://vault", Proxy: "proxy:3128", Auth: token}, "", "proxy must be the URL"},
		{vault.Config{Namespace: "a", Auth: token}, "", "address is missing"},
		{vault.Config{}, "VAULT_SKIP_VERIFY=true", "VAULT_SKIP_VERIFY is set"},
		{vault.Config{}, "VAULT_SKIP_VERIFY=perhaps", "VAULT_SKIP_VERIFY is set"},
		{vault.Config{}, "VAULT_ADDR=vault", "must start with https://"},
		{vault.Config{}, "VAULT_CLIENT_CERT=x", "belong together"},
	} {
		_, err := build(provider.Setup{Name: "v"}, test.config, test.vars)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v %s: got %v, want %q", test.config, test.vars, err, test.want)
		}
	}
}

// The built-in provider is configured by the variables of HashiCorp's client.
func TestEnvironment(t *testing.T) {
	v := testenv.Vault(t)
	id, policy := secretAt(t, v)
	token := v.Token(t, map[string]any{"policies": []string{policy}, "ttl": "1h"})
	cert, key := v.CA.Client(t, "app").Files(t)
	open(t, vault.Config{}, "VAULT_ADDR="+v.Address(), "VAULT_TOKEN="+token).want(id, "x")
	for _, roots := range []string{
		"VAULT_CACERT=" + v.CAFile(),
		"VAULT_CACERT_BYTES=" + v.CA.CAPEM,
		"VAULT_CAPATH=" + filepath.Dir(testenv.WriteFile(t, "ca.pem", v.CA.CAPEM)),
	} {
		open(t, vault.Config{}, "VAULT_ADDR="+v.TLSAddress(), "VAULT_TOKEN="+token, roots, "VAULT_SKIP_VERIFY=0",
			"VAULT_TLS_SERVER_NAME=localhost", "VAULT_CLIENT_CERT="+cert, "VAULT_CLIENT_KEY="+key).want(id, "x")
	}
	open(t, vault.Config{Auth: vault.Auth{Token: provider.LiteralSetting(token)}}, "VAULT_ADDR="+v.Address()).want(id, "x")
	open(t, vault.Config{}, "VAULT_ADDR="+v.Address()).wantError(id, false, "no token: VAULT_TOKEN is not set")
	open(t, vault.Config{}).wantError(id, false, "VAULT_TOKEN is not set")
	agent := newFault(t, v.Address())
	open(t, vault.Config{}, "VAULT_AGENT_ADDR="+agent.URL, "VAULT_ADDR=http://127.0.0.1:1", "VAULT_TOKEN="+token).want(id, "x")
	open(t, vault.Config{}, "VAULT_AGENT_ADDR="+agent.URL).wantError(id, false, "(40")
}

// Certificates are read when they are needed, and again when they do not fit:
// the CA of a server may be replaced while the broker runs.
func TestRoots(t *testing.T) {
	v := testenv.Vault(t)
	id, policy := secretAt(t, v)
	c := withToken(t, v, policy)
	c.Address, c.CACert = v.TLSAddress(), filepath.Join(t.TempDir(), "ca.pem")
	s := open(t, c)
	s.wantError(id, false, "cannot prepare the connection: certificates of the CAs: open "+c.CACert)
	for _, test := range []struct{ pem, want string }{
		{"nothing", "no PEM certificate in " + c.CACert},
		{v.CA.OtherCAPEM, "signed by an authority that is not trusted"},
	} {
		if err := os.WriteFile(c.CACert, []byte(test.pem), 0o600); err != nil {
			t.Fatal(err)
		}
		s.wantError(id, false, test.want)
	}
	if err := os.WriteFile(c.CACert, []byte(v.CA.CAPEM), 0o600); err != nil {
		t.Fatal(err)
	}
	s.want(id, "x")
	for vars, want := range map[string]string{
		"VAULT_CACERT=/nowhere/ca.pem": "open /nowhere/ca.pem",
		"VAULT_CACERT_BYTES=x":         "VAULT_CACERT_BYTES holds no PEM certificate",
		"VAULT_CAPATH=/nowhere":        "VAULT_CAPATH: open /nowhere",
	} {
		open(t, vault.Config{}, "VAULT_TOKEN=x", "VAULT_ADDR="+v.TLSAddress(), vars).wantError(id, false, want)
	}
}

// An address that sends the token over a network in the clear is warned of.
func TestExposedAddress(t *testing.T) {
	for address, warned := range map[string]bool{
		"http://vault.internal:8200": true, "http://192.0.2.1:8200": true, "http://[2001:db8::1]": true,
		"https://vault.internal:8200": false, "http://127.0.0.1:8200": false, "http://[::1]:8200": false,
		"http://localhost:8200": false, "unix:///run/agent.sock": false,
	} {
		if s := open(t, tokenConfig(address, "x")); s.log.has("without TLS") != warned {
			t.Errorf("%s: %s", address, s.log)
		}
	}
}
