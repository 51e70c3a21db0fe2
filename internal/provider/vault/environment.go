package vault

import (
	"errors"
	"strconv"

	"secretless/internal/provider"
)

// defaultAddress is the client's own.
const defaultAddress = "https://127.0.0.1:8200"

// connection is everything that reaching a server takes.
type connection struct {
	Config
	// caText and caPath are roots that only variables can say: PEM text and a
	// directory.
	caText, caPath string
	envToken       bool // the token is VAULT_TOKEN
}

// fromEnvironment completes a Config without an address by the variables that
// HashiCorp's client knows.
func fromEnvironment(c Config, lookup func(string) (string, bool)) (connection, error) {
	env := func(name string) string {
		v, _ := lookup(name)
		return v
	}
	if c.Namespace != "" || c.CACert != "" || c.TLSServerName != "" || c.ClientCert != "" || c.ClientKey != "" || c.Proxy != "" {
		return connection{}, errors.New("address is missing: an instance that says how to connect says where to, too")
	}
	if v := env("VAULT_SKIP_VERIFY"); v != "" {
		if skip, err := strconv.ParseBool(v); err != nil || skip {
			return connection{}, errors.New("VAULT_SKIP_VERIFY is set, but a Vault that is not verified gets no token: " +
				"unset it and name the CA in VAULT_CACERT")
		}
	}
	agent := env("VAULT_AGENT_ADDR")
	c.Address = first(agent, env("VAULT_ADDR"), defaultAddress)
	c.Namespace = env("VAULT_NAMESPACE")
	c.CACert = env("VAULT_CACERT")
	c.TLSServerName = env("VAULT_TLS_SERVER_NAME")
	c.ClientCert = env("VAULT_CLIENT_CERT")
	c.ClientKey = env("VAULT_CLIENT_KEY")
	c.Proxy = first(env("VAULT_PROXY_ADDR"), env("VAULT_HTTP_PROXY"))
	out := connection{Config: c, caText: env("VAULT_CACERT_BYTES"), caPath: env("VAULT_CAPATH")}
	if c.Auth.empty() {
		// An agent may add its own token, and one that is unset is only wrong
		// when a secret is wanted: the broker starts without.
		out.envToken = agent == "" || env("VAULT_TOKEN") != ""
		out.Auth.Agent = !out.envToken
		if out.envToken {
			out.Auth.TokenFile = "VAULT_TOKEN" // stands for it in the check only
		}
	}
	return out, nil
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// settle decides where an instance's connection comes from and checks it.
func settle(c Config, s provider.Setup) (connection, error) {
	out := connection{Config: c}
	if c.Address == "" {
		var err error
		if out, err = fromEnvironment(c, s.LookupEnv); err != nil {
			return out, err
		}
	}
	return out, out.check()
}
