package vault

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"secretless/internal/provider"
)

// Config is an instance's own settings. One that has no address takes the
// connection from VAULT_* variables, and the token too unless it has auth. One
// with an address takes nothing from there: the token of one Vault must not
// reach another.
type Config struct {
	Address       string `yaml:"address" doc:"URL of the server or agent: https://host:8200, or unix:///path of an agent's socket" example:"https://vault.example.com:8200"`
	Namespace     string `yaml:"namespace" doc:"namespace of all paths and of the login"`
	CACert        string `yaml:"caCert" doc:"file with the PEM certificates of the CAs to trust; the system's if absent"`
	TLSServerName string `yaml:"tlsServerName" doc:"name that the server's certificate must have, if not the host of address"`
	ClientCert    string `yaml:"clientCert" doc:"file with the PEM client certificate; read anew for each connection"`
	ClientKey     string `yaml:"clientKey" doc:"file with the PEM key of clientCert"`
	Proxy         string `yaml:"proxy" doc:"URL of an HTTP proxy to the server; the proxy variables of the environment are not used"`
	Auth          Auth   `yaml:"auth" doc:"how to log in: exactly one of its keys"`
}

// Auth is how to get a token: exactly one field.
type Auth struct {
	Token      provider.SecretSetting `yaml:"token" doc:"a token; it is renewed as long as it can be"`
	TokenFile  string                 `yaml:"tokenFile" doc:"file in which an agent keeps a token (its sink); read at each lookup"`
	AppRole    *AppRole               `yaml:"approle" doc:"log in with a role id and a secret id"`
	Kubernetes *Kubernetes            `yaml:"kubernetes" doc:"log in with the pod's service account"`
	JWT        *JWT                   `yaml:"jwt" doc:"log in with a JSON web token"`
	Cert       *Cert                  `yaml:"cert" doc:"log in with clientCert"`
	Agent      bool                   `yaml:"agent" doc:"send no token: an agent or proxy at address adds its own"`
}

// AppRole is the approle method.
type AppRole struct {
	Mount    string                 `yaml:"mount" default:"approle" doc:"where the method is mounted, below auth/"`
	RoleID   provider.SecretSetting `yaml:"roleId" doc:"the role's id"`
	SecretID provider.SecretSetting `yaml:"secretId" doc:"the secret id, unless the role works without"`
}

// Kubernetes is the kubernetes method.
type Kubernetes struct {
	Mount     string `yaml:"mount" default:"kubernetes" doc:"where the method is mounted, below auth/"`
	Role      string `yaml:"role" required:"true" example:"orders" doc:"role to log in as"`
	TokenFile string `yaml:"tokenFile" default:"/var/run/secrets/kubernetes.io/serviceaccount/token" doc:"file with the service account's token; read at each login"`
}

// JWT is the jwt method.
type JWT struct {
	Mount     string                 `yaml:"mount" default:"jwt" doc:"where the method is mounted, below auth/"`
	Role      string                 `yaml:"role" doc:"role to log in as; the mount's default role if absent"`
	Token     provider.SecretSetting `yaml:"token" doc:"the JSON web token"`
	TokenFile string                 `yaml:"tokenFile" doc:"file with it; read at each login"`
}

// Cert is the cert method.
type Cert struct {
	Mount string `yaml:"mount" default:"cert" doc:"where the method is mounted, below auth/"`
	Name  string `yaml:"name" doc:"name of the certificate role; any that fits if absent"`
}

// check finds what is wrong before anything connects.
func (c *Config) check() error {
	if err := checkAddress(c.Address); err != nil {
		return err
	}
	if (c.ClientCert == "") != (c.ClientKey == "") {
		return errors.New("clientCert and clientKey belong together: set both or neither")
	}
	if c.Proxy != "" {
		if u, err := url.Parse(c.Proxy); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return errors.New("proxy must be the URL of an HTTP proxy, for instance http://proxy:3128")
		}
	}
	if c.Auth.Cert != nil && c.ClientCert == "" {
		return errors.New("auth.cert logs in with a client certificate: set clientCert and clientKey")
	}
	return c.Auth.check()
}

func checkAddress(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("address is not a URL of the form https://host:8200, without user, query and fragment")
	case u.Scheme == "unix" && u.Host == "" && u.Path != "":
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
	default:
		return fmt.Errorf("address %q must start with https://, http:// or unix:///", address)
	}
	return nil
}

func (a *Auth) check() error {
	var set []string
	for _, m := range []struct {
		name string
		set  bool
	}{
		{"token", a.Token.IsSet()},
		{"tokenFile", a.TokenFile != ""},
		{"approle", a.AppRole != nil},
		{"kubernetes", a.Kubernetes != nil},
		{"jwt", a.JWT != nil},
		{"cert", a.Cert != nil},
		{"agent", a.Agent},
	} {
		if m.set {
			set = append(set, m.name)
		}
	}
	switch {
	case len(set) == 0:
		return errors.New("auth is missing: say how to log in by one of token, tokenFile, approle, kubernetes, jwt, cert or agent")
	case len(set) > 1:
		return fmt.Errorf("auth has %s: choose one", strings.Join(set, " and "))
	case a.AppRole != nil && !a.AppRole.RoleID.IsSet():
		return errors.New("auth.approle needs roleId")
	case a.JWT != nil && a.JWT.Token.IsSet() == (a.JWT.TokenFile != ""):
		return errors.New("auth.jwt needs either token or tokenFile")
	}
	return nil
}

func (a *Auth) empty() bool {
	return !a.Token.IsSet() && a.TokenFile == "" && a.AppRole == nil && a.Kubernetes == nil && a.JWT == nil && a.Cert == nil && !a.Agent
}
