package kubeapi

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
)

func (n namedCluster) apply(a *Access) error {
	e := n.Cluster
	if e.Insecure {
		return errors.New("insecure-skip-tls-verify is set: whoever answers would get the token; use certificate-authority instead")
	}
	server, err := ParseServer(e.Server)
	if err != nil {
		return err
	}
	a.server, a.tls = server, tlsConfig(nil)
	a.tls.ServerName = e.ServerName
	if pem, err := either(n.dir, e.CA, e.CAData, "certificate-authority"); err != nil {
		return err
	} else if pem != nil {
		if a.tls.RootCAs, err = parseRoots("certificate-authority", pem); err != nil {
			return err
		}
	}
	if e.Proxy != "" {
		a.proxy, err = url.Parse(e.Proxy)
		// The text may hold a password.
		if err != nil || a.proxy.Host == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, a.proxy.Scheme) {
			return errors.New("proxy-url must be http, https or socks5://host:port")
		}
	}
	return nil
}

func (n namedUser) apply(a *Access) error {
	u := n.User
	switch {
	case !u.Exec.IsZero():
		return errors.New("its token comes from a command (exec), which secretless does not run: use the token of a service account, or give " +
			"the kubernetes provider a server, a caCert and a token of the exec provider")
	case !u.AuthProvider.IsZero():
		return errors.New("auth-provider is not supported, as in kubectl since 1.26")
	case u.Username != "":
		return errors.New("username and password are not supported, as in Kubernetes since 1.19")
	case u.As != "" || u.AsUID != "" || len(u.AsGroups) > 0:
		return errors.New("impersonation (as) is not supported: use an account that has the rights itself")
	}
	cert, err := either(n.dir, u.Cert, u.CertData, "client-certificate")
	if err != nil {
		return err
	}
	key, err := either(n.dir, u.Key, u.KeyData, "client-key")
	if err != nil {
		return err
	}
	defer clear(key)
	if cert != nil || key != nil {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil { // its text may quote what it read
			return errors.New("client-certificate and client-key are no PEM pair that belongs together")
		}
		a.tls.Certificates = []tls.Certificate{pair}
	}
	switch {
	case u.TokenFile != "":
		a.token, err = ReadToken(within(n.dir, u.TokenFile))
	case u.Token != "":
		a.token, err = CleanToken([]byte(u.Token))
	case cert == nil:
		return errors.New("it has no token and no client certificate")
	}
	return err
}

// either is the content of a file or the decoded data, which wins if both are
// there; nil without both.
func either(dir, path, data, what string) ([]byte, error) {
	if data != "" {
		b, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return nil, fmt.Errorf("%s-data is no base64", what)
		}
		return b, nil
	}
	if path == "" {
		return nil, nil
	}
	return readFile(within(dir, path), maxConfig)
}

func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
