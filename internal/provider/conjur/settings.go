package conjur

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"secretless/internal/provider"
)

// Config is an instance's own settings. With applianceURL they are all there
// is; without, what is left out comes from the environment and the files of
// the Conjur command line.
type Config struct {
	ApplianceURL   string                 `yaml:"applianceURL" doc:"URL of Conjur; with it, nothing is taken from the environment"`
	Account        string                 `yaml:"account" doc:"organization account"`
	Certificate    string                 `yaml:"certificate" doc:"certificate of Conjur or its authority, PEM (default: the system's authorities)"`
	CertFile       string                 `yaml:"certFile" doc:"file of that certificate"`
	Login          string                 `yaml:"login" doc:"who logs in: a user, or host/…"`
	APIKey         provider.SecretSetting `yaml:"apiKey" doc:"API key of login"`
	TokenFile      string                 `yaml:"tokenFile" doc:"file of an access token that something else keeps fresh"`
	AuthnURL       string                 `yaml:"authnURL" doc:"URL of an authenticator: …/authn-jwt/<service> or …/authn-k8s/<service>"`
	JWTServiceID   string                 `yaml:"jwtServiceId" doc:"service id of authn-jwt, instead of authnURL"`
	JWTHostID      string                 `yaml:"jwtHostId" doc:"host that logs in with the JWT, where the JWT does not say"`
	JWT            provider.SecretSetting `yaml:"jwt" doc:"the JWT itself"`
	JWTFile        string                 `yaml:"jwtFile" doc:"file of the JWT (default: the pod's service account token)"`
	PodName        string                 `yaml:"podName" doc:"name of the pod, for authn-k8s (default MY_POD_NAME)"`
	PodNamespace   string                 `yaml:"podNamespace" doc:"namespace of the pod, for authn-k8s (default MY_POD_NAMESPACE)"`
	ClientCertFile string                 `yaml:"clientCertFile" doc:"where authn-k8s puts the client certificate (default /etc/conjur/ssl/client.pem)"`
}

const (
	defaultJWTFile    = "/var/run/secrets/kubernetes.io/serviceaccount/token"
	defaultClientCert = "/etc/conjur/ssl/client.pem"
)

// check finds what can be found without reading anything.
func (c Config) check() error {
	if c.ApplianceURL == "" && (c.Account != "" || c.credentialed()) {
		return errors.New("account and credentials in settings need applianceURL beside them: they must not go to whatever server the environment names")
	}
	if c.ApplianceURL != "" {
		base, err := baseURL(c.ApplianceURL, c.Certificate != "" || c.CertFile != "")
		if err != nil {
			return err
		}
		if _, err := authenticatorURL(c.AuthnURL, base); err != nil && kindOf(c.AuthnURL) != "" {
			return err
		}
	}
	switch {
	case c.APIKey.IsSet() != (c.Login != "") && c.AuthnURL == "":
		return errors.New("login and apiKey go together")
	case c.Certificate != "" && c.CertFile != "":
		return errors.New("certificate and certFile exclude each other")
	case c.JWT.IsSet() && c.JWTFile != "":
		return errors.New("jwt and jwtFile exclude each other")
	case c.ways() > 1:
		return errors.New("there is more than one way to log in: set apiKey, tokenFile, authnURL or jwtServiceId")
	case c.ways() == 0 && c.ApplianceURL != "":
		return errors.New("there is no way to log in: set apiKey with login, tokenFile, authnURL or jwtServiceId")
	case c.AuthnURL != "" && kindOf(c.AuthnURL) == "":
		return errors.New("authnURL must be that of authn-jwt or authn-k8s, such as https://conjur.example/authn-jwt/broker")
	}
	return nil
}

func (c Config) credentialed() bool { return c.ways() > 0 || c.Login != "" || c.JWT.IsSet() }

// ways counts the ways to log in.
func (c Config) ways() int {
	n := 0
	for _, set := range []bool{c.APIKey.IsSet(), c.TokenFile != "", c.AuthnURL != "", c.JWTServiceID != ""} {
		if set {
			n++
		}
	}
	return n
}

// kindOf is the authenticator that an URL is of, if the broker knows it.
func kindOf(authnURL string) string {
	for _, kind := range []string{"authn-jwt", "authn-k8s"} {
		if strings.Contains(authnURL, "/"+kind+"/") {
			return kind
		}
	}
	return ""
}

// baseURL is where requests go. A URL without a scheme means HTTPS where a
// certificate is given and HTTP where not, as for Conjur's own clients.
func baseURL(text string, certified bool) (string, error) {
	if !strings.Contains(text, "://") {
		if certified {
			text = "https://" + text
		} else {
			text = "http://" + text
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", errors.New("URL of Conjur is none; write one such as https://conjur.example")
	}
	if certified && u.Scheme == "http" {
		return "", errors.New("URL of Conjur begins with http://, where the certificate that is set would protect nothing; write https://")
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

// authenticatorURL is where an authenticator's requests go. They log the broker
// in, so that they have TLS where Conjur itself has it.
func authenticatorURL(text, base string) (string, error) {
	secure := strings.HasPrefix(base, "https://")
	if secure && strings.HasPrefix(strings.ToLower(text), "http://") {
		return "", errors.New("authnURL (CONJUR_AUTHN_URL) begins with http://, and Conjur's own URL with https://: what logs the broker in is not sent in the clear; write https://")
	}
	address, err := baseURL(text, secure)
	if err != nil {
		return "", errors.New("authnURL (CONJUR_AUTHN_URL) is no URL; write one such as https://conjur.example/authn-jwt/broker")
	}
	return address, nil
}

// conjurCloud are the ends of the host names whose API is below /api.
func inCloud(base string) bool {
	u, err := url.Parse(base)
	return err == nil && u.Scheme == "https" && strings.HasSuffix(u.Hostname(), ".secretsmgr.cyberark.cloud")
}

// errIncomplete names what nothing has set.
func errIncomplete(what, variable, setting string) error {
	return fmt.Errorf("%s is not known: set %s, or %s in the instance's settings", what, variable, setting)
}
