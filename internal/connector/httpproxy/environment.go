package httpproxy

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// environment is what the broker's environment says about reaching targets.
type environment struct {
	// upstream returns the proxy for a URL, nil for none.
	upstream func(*url.URL) (*url.URL, error)
	// proxies are the host:port of every upstream proxy.
	proxies []string
	// bundle is the PEM text of SECRETLESS_HTTP_CA_BUNDLE.
	bundle []byte
}

const (
	bundleVariable = "SECRETLESS_HTTP_CA_BUNDLE"
	maxBundle      = 4 << 20
)

func readEnvironment(lookup func(string) (string, bool)) (*environment, error) {
	get := func(names ...string) string {
		for _, name := range names {
			if lookup == nil {
				break
			}
			if v, ok := lookup(name); ok && v != "" {
				return v
			}
		}
		return ""
	}
	config := &httpproxy.Config{
		HTTPProxy:  get("HTTP_PROXY", "http_proxy"),
		HTTPSProxy: get("HTTPS_PROXY", "https_proxy"),
		NoProxy:    get("NO_PROXY", "no_proxy"),
	}
	env := &environment{upstream: config.ProxyFunc()}
	for _, text := range []string{config.HTTPProxy, config.HTTPSProxy} {
		if address := proxyAddress(text); address != "" {
			env.proxies = append(env.proxies, address)
		}
	}
	path := get(bundleVariable)
	if path == "" {
		return env, nil
	}
	var err error
	env.bundle, err = readBundle(path)
	return env, err
}

// proxyAddress is host:port as it will be dialled.
func proxyAddress(text string) string {
	if text == "" {
		return ""
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return ""
	}
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	case strings.HasPrefix(u.Scheme, "socks5"):
		port = "1080"
	default:
		port = "80"
	}
	if strings.Contains(u.Hostname(), ":") {
		return "[" + u.Hostname() + "]:" + port
	}
	return u.Hostname() + ":" + port
}

func readBundle(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", bundleVariable, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxBundle {
		return nil, fmt.Errorf("%s: %s is not a regular file of at most 4 MiB", bundleVariable, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", bundleVariable, err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: %s holds no PEM certificate", bundleVariable, path)
	}
	return text, nil
}

// tlsConfig verifies targets against the system's roots and the bundle.
func (e *environment) tlsConfig() *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(e.bundle) == 0 {
		return config // the system's roots
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // the bundle alone
	}
	roots.AppendCertsFromPEM(e.bundle)
	config.RootCAs = roots
	return config
}
