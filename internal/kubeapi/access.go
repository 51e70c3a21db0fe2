// Package kubeapi asks a Kubernetes API server over HTTPS: it finds the cluster
// as kubectl or a pod does, and sends single requests. What is asked, and what
// an answer means, is its callers' business.
package kubeapi

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"

	"secretless/internal/secret"
)

// PodDir is where a pod finds what its service account needs.
const PodDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// Access is what requests to one API server need. It holds a token: Wipe it
// when the requests are done, and find it anew for the next ones, since files
// and tokens are replaced under a running program.
type Access struct {
	// Namespace is the context's or the pod's; "default" where neither says one.
	Namespace string

	server *url.URL
	tls    *tls.Config
	proxy  *url.URL     // nil for none
	token  secret.Value // empty where a client certificate logs in
}

// Wipe makes the token unreadable.
func (a *Access) Wipe() { a.token.Wipe() }

// SameToken says whether two accesses log in with the same token.
func (a *Access) SameToken(b *Access) bool { return a.token.Equal(b.token) }

// Cluster says where a cluster's address and credentials are looked for.
type Cluster struct {
	// Kubeconfig is the path of a file, and Context one of its contexts; both
	// may be empty.
	Kubeconfig, Context string
	LookupEnv           func(string) (string, bool)
	// PodDir is PodDir, or a test's.
	PodDir string
}

// ErrNoCluster says that there is nothing to find.
var ErrNoCluster = errors.New("no cluster is configured: KUBECONFIG is not set, the broker runs in no pod, and there is no ~/.kube/config")

// Find reads what c names, else KUBECONFIG, else the pod that the broker runs
// in, else the user's kubeconfig.
func (c Cluster) Find() (*Access, error) {
	a, err := c.find()
	if err == nil && a.Namespace == "" {
		a.Namespace = "default"
	}
	return a, err
}

func (c Cluster) find() (*Access, error) {
	if c.Kubeconfig != "" {
		return fromKubeconfig([]string{c.Kubeconfig}, c.Context)
	}
	if list, _ := c.LookupEnv("KUBECONFIG"); list != "" {
		return fromKubeconfig(filepath.SplitList(list), c.Context)
	}
	if host, _ := c.LookupEnv("KUBERNETES_SERVICE_HOST"); host != "" && c.Context == "" {
		return c.pod(host)
	}
	if home := c.home(); home != "" {
		path := filepath.Join(home, ".kube", "config")
		if _, err := os.Stat(path); err == nil || c.Context != "" {
			return fromKubeconfig([]string{path}, c.Context)
		}
	}
	return nil, ErrNoCluster
}

func (c Cluster) home() string {
	for _, name := range []string{"HOME", "USERPROFILE"} {
		if dir, _ := c.LookupEnv(name); dir != "" {
			return dir
		}
	}
	return ""
}

// pod is what Kubernetes gives to the service account of a pod. The kubelet
// replaces the token long before it expires, so it is read each time.
func (c Cluster) pod(host string) (*Access, error) {
	port, _ := c.LookupEnv("KUBERNETES_SERVICE_PORT")
	if port == "" {
		port = "443"
	}
	server, err := ParseServer("https://" + net.JoinHostPort(host, port))
	if err != nil {
		return nil, errors.New("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT make no address")
	}
	roots, err := readRoots(filepath.Join(c.PodDir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	token, err := ReadToken(filepath.Join(c.PodDir, "token"))
	if err != nil {
		return nil, err
	}
	a := &Access{server: server, tls: tlsConfig(roots), token: token}
	// Missing where only the token was mounted; callers can name theirs.
	namespace, _ := os.ReadFile(filepath.Join(c.PodDir, "namespace"))
	a.Namespace = string(bytes.TrimSpace(namespace))
	if a.Namespace != "" {
		if err := CheckNamespace(a.Namespace); err != nil {
			a.Wipe()
			return nil, err
		}
	}
	return a, nil
}

// Explicit is access to a server by its address, with a token that now belongs
// to it. An empty path of authorities means the system's.
func Explicit(server, caCert string, token secret.Value) (*Access, error) {
	u, err := ParseServer(server)
	if err != nil {
		return nil, err
	}
	roots, err := readRoots(caCert)
	if err != nil {
		return nil, err
	}
	return &Access{server: u, tls: tlsConfig(roots), token: token, Namespace: "default"}, nil
}

// ParseServer takes only what a token may be sent to.
func ParseServer(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil: // its text may hold a password
		return nil, errors.New("server is no URL")
	case u.Scheme != "https":
		return nil, errors.New("server must begin with https://: a token and secrets are not sent in clear text")
	case u.Hostname() == "", u.User != nil, u.RawQuery != "", u.Fragment != "":
		return nil, errors.New("server must be https://host[:port][/path] and nothing more")
	}
	return u, nil
}

func tlsConfig(roots *x509.CertPool) *tls.Config {
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}
