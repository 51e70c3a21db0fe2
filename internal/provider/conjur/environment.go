package conjur

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds every file that is read: configurations, certificates,
// tokens.
const maxFile = 1 << 20

// identity is where Conjur is and how to log in: settings, environment and
// files put together.
type identity struct {
	Config
	base   string
	netrc  string // file to find login and API key in; empty for none
	apiKey string // of the environment
	jwt    string // of the environment
}

// environment reads the variables of the broker's environment.
type environment func(string) (string, bool)

func (e environment) get(name string) string {
	v, _ := e(name)
	return v
}

// resolve puts settings, environment and files together. Secrets of the
// settings stay where they are.
func resolve(c Config, env environment) (identity, error) {
	id := identity{Config: c}
	if c.ApplianceURL == "" {
		if err := id.fromOutside(env); err != nil {
			return id, err
		}
	}
	first(&id.PodName, env.get("MY_POD_NAME"))
	first(&id.PodNamespace, env.get("MY_POD_NAMESPACE"))
	first(&id.ClientCertFile, env.get("CONJUR_CLIENT_CERT_PATH"), defaultClientCert)
	first(&id.JWTFile, defaultJWTFile)
	if id.ApplianceURL == "" {
		return id, errIncomplete("the URL of Conjur", "CONJUR_APPLIANCE_URL", "applianceURL")
	}
	var err error
	if id.base, err = baseURL(id.ApplianceURL, id.Certificate != "" || id.CertFile != ""); err != nil {
		return id, err
	}
	if inCloud(id.base) {
		first(&id.Account, "conjur")
		if filepath.Base(id.base) != "api" {
			id.base += "/api"
		}
	}
	if id.Account == "" {
		return id, errIncomplete("the account", "CONJUR_ACCOUNT", "account")
	}
	return id, nil
}

// fromOutside fills in what the settings leave out. The environment goes
// before ~/.conjurrc, and that before /etc/conjur.conf.
func (id *identity) fromOutside(env environment) error {
	id.ApplianceURL, id.Account = env.get("CONJUR_APPLIANCE_URL"), env.get("CONJUR_ACCOUNT")
	if id.Certificate == "" && id.CertFile == "" {
		if id.Certificate = env.get("CONJUR_SSL_CERTIFICATE"); id.Certificate == "" {
			id.CertFile = env.get("CONJUR_CERT_FILE")
		}
	}
	id.Login, id.apiKey = env.get("CONJUR_AUTHN_LOGIN"), env.get("CONJUR_AUTHN_API_KEY")
	id.TokenFile = env.get("CONJUR_AUTHN_TOKEN_FILE")
	id.AuthnURL = env.get("CONJUR_AUTHN_URL")
	id.JWTServiceID = env.get("CONJUR_AUTHN_JWT_SERVICE_ID")
	id.JWTHostID = env.get("CONJUR_AUTHN_JWT_HOST_ID")
	id.jwt = env.get("CONJUR_AUTHN_JWT_TOKEN")
	first(&id.JWTFile, env.get("JWT_TOKEN_PATH"))
	id.netrc = env.get("CONJUR_NETRC_PATH")

	home := env.get("HOME")
	first(&home, env.get("USERPROFILE"))
	rc := env.get("CONJURRC")
	if rc == "" && home != "" {
		rc = filepath.Join(home, ".conjurrc")
	}
	for _, path := range []string{rc, "/etc/conjur.conf"} {
		if err := id.fromFile(path); err != nil {
			return err
		}
	}
	if home != "" {
		first(&id.netrc, filepath.Join(home, ".netrc"))
	}
	return nil
}

// fromFile reads a file of the Conjur command line, of both of its versions.
func (id *identity) fromFile(path string) error {
	if path == "" {
		return nil
	}
	b, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var rc struct {
		ApplianceURL string `yaml:"appliance_url"`
		ConjurURL    string `yaml:"conjur_url"`
		Account      string `yaml:"account"`
		OtherAccount string `yaml:"conjur_account"`
		CertFile     string `yaml:"cert_file"`
		Netrc        string `yaml:"netrc_path"`
		AuthnType    string `yaml:"authn_type"`
		ServiceID    string `yaml:"service_id"`
		JWTHostID    string `yaml:"jwt_host_id"`
		JWTFile      string `yaml:"jwt_file"`
	}
	if err := yaml.Unmarshal(b, &rc); err != nil {
		return fmt.Errorf("%s is no YAML as the Conjur command line writes it", path)
	}
	first(&id.ApplianceURL, rc.ApplianceURL, rc.ConjurURL)
	first(&id.Account, rc.Account, rc.OtherAccount)
	if id.Certificate == "" {
		first(&id.CertFile, rc.CertFile)
	}
	first(&id.netrc, rc.Netrc)
	if rc.AuthnType == "jwt" {
		first(&id.JWTServiceID, rc.ServiceID)
		first(&id.JWTHostID, rc.JWTHostID)
		first(&id.JWTFile, rc.JWTFile)
	}
	return nil
}

// first gives a variable that is empty the first value that is not.
func first(into *string, values ...string) {
	for _, v := range values {
		if *into == "" {
			*into = v
		}
	}
}

// readFile reads a small regular file. Its error names the file once.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, cause(err))
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("reading %s: not a regular file of at most 1 MiB", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, cause(err))
	}
	return b, nil
}

func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
