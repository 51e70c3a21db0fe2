package kubernetes

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"

	"secretless/internal/provider"
	"secretless/internal/secret"
)

// podDir is where a pod finds what its service account needs.
const podDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// access is what one lookup needs to ask an API server.
type access struct {
	server    *url.URL
	tls       *tls.Config
	proxy     *url.URL     // nil for none
	token     secret.Value // empty where a client certificate logs in
	namespace string       // of ids that name none
}

func (a *access) wipe() { a.token.Wipe() }

// transientError is a failure that another try may mend.
type transientError struct{ error }

func (e transientError) Unwrap() error { return e.error }

func isTransient(err error) bool {
	if _, ok := errors.AsType[transientError](err); ok {
		return true
	}
	e, ok := errors.AsType[*provider.Error](err) // of the token's own provider
	return ok && e.Transient
}

// access finds the cluster: what the instance says, else KUBECONFIG, else the
// pod that the broker runs in, else the user's kubeconfig.
func (c *cluster) access(ctx context.Context) (*access, error) {
	a, err := c.find(ctx)
	if err != nil {
		return nil, err
	}
	if c.config.Namespace != "" {
		a.namespace = c.config.Namespace
	}
	if a.namespace == "" {
		a.namespace = "default"
	}
	return a, nil
}

func (c *cluster) find(ctx context.Context) (*access, error) {
	if c.config.Server != "" {
		return c.explicit(ctx)
	}
	if c.config.Kubeconfig != "" {
		return fromKubeconfig([]string{c.config.Kubeconfig}, c.config.Context)
	}
	if list, _ := c.lookupEnv("KUBECONFIG"); list != "" {
		return fromKubeconfig(filepath.SplitList(list), c.config.Context)
	}
	if host, _ := c.lookupEnv("KUBERNETES_SERVICE_HOST"); host != "" && c.config.Context == "" {
		return c.pod(host)
	}
	if home := c.home(); home != "" {
		path := filepath.Join(home, ".kube", "config")
		if _, err := os.Stat(path); err == nil || c.config.Context != "" {
			return fromKubeconfig([]string{path}, c.config.Context)
		}
	}
	return nil, errors.New("no cluster is configured: KUBECONFIG is not set, the broker runs in no pod, and there is no ~/.kube/config; " +
		"add an instance under providers with kubeconfig, or with server, caCert and token")
}

func (c *cluster) home() string {
	for _, name := range []string{"HOME", "USERPROFILE"} {
		if dir, _ := c.lookupEnv(name); dir != "" {
			return dir
		}
	}
	return ""
}

// explicit is what the instance's own settings say.
func (c *cluster) explicit(ctx context.Context) (*access, error) {
	server, err := parseServer(c.config.Server)
	if err != nil {
		return nil, err
	}
	roots, err := readRoots(c.config.CACert)
	if err != nil {
		return nil, err
	}
	a := &access{server: server, tls: tlsConfig(roots)}
	if c.config.TokenFile != "" {
		a.token, err = readToken(c.config.TokenFile)
		return a, err
	}
	token, err := c.config.Token.Get(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading its token: %w", err)
	}
	defer token.Wipe()
	a.token, err = cleanToken(token.Bytes())
	if err != nil {
		return nil, fmt.Errorf("token of the instance: %w", err)
	}
	return a, nil
}

// pod is what Kubernetes gives to the service account of a pod. The kubelet
// replaces the token long before it expires, so it is read each time.
func (c *cluster) pod(host string) (*access, error) {
	port, _ := c.lookupEnv("KUBERNETES_SERVICE_PORT")
	if port == "" {
		port = "443"
	}
	server, err := parseServer("https://" + net.JoinHostPort(host, port))
	if err != nil {
		return nil, errors.New("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT make no address")
	}
	roots, err := readRoots(filepath.Join(c.podDir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	token, err := readToken(filepath.Join(c.podDir, "token"))
	if err != nil {
		return nil, err
	}
	// Missing where only the token was mounted; ids can name theirs.
	namespace, _ := os.ReadFile(filepath.Join(c.podDir, "namespace"))
	return &access{server: server, tls: tlsConfig(roots), token: token, namespace: string(bytes.TrimSpace(namespace))}, nil
}

func tlsConfig(roots *x509.CertPool) *tls.Config {
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}
