package testenv

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// KubeServer is a Kubernetes API server with an etcd of its own, on 127.0.0.1:
// everything that clients of the API meet, RBAC, service accounts and custom
// resources among it, and no controller, no node and no pod.
type KubeServer struct {
	Port int
	CA   *PKI

	etcd, api              *daemon // in one directory
	clientsPort, peersPort int     // of etcd
	admin                  *http.Client
}

// Kubernetes returns the server that all tests of the process share. Tests must
// not stop it, and use a Namespace of their own.
func Kubernetes(t testing.TB) *KubeServer {
	t.Helper()
	findKubernetes(t)
	return shared(t, &env.kube, env.newKubernetes)
}

// NewKubernetes starts a server for this test alone, to stop, kill or restart.
func NewKubernetes(t testing.TB) *KubeServer {
	t.Helper()
	findKubernetes(t)
	return private(t, env.newKubernetes)
}

func findKubernetes(t testing.TB) {
	t.Helper()
	for _, program := range []string{"etcd", "kube-apiserver", "kubectl"} {
		if _, err := os.Stat(kubeProgram(program)); err != nil {
			require(t, "Kubernetes' "+program)
		}
	}
}

func kubeProgram(name string) string { return filepath.Join(CacheDir(), "kube", name) }

func (e *environment) newKubernetes() (*KubeServer, error) {
	pki, err := e.authority()
	if err != nil {
		return nil, err
	}
	dir, err := e.newDir("kube")
	if err != nil {
		return nil, err
	}
	k := &KubeServer{CA: pki}
	k.etcd = newDaemon(dir, service{name: "etcd", program: k.etcdProgram})
	k.api = newDaemon(dir, service{name: "kube-apiserver", program: k.apiProgram})
	if err := k.prepare(); err != nil {
		return nil, fmt.Errorf("prepare Kubernetes: %w", err)
	}
	if err := onFreePorts([]*int{&k.Port, &k.clientsPort, &k.peersPort}, false, k.start); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return k, nil
}

// prepare writes the files that stay the same when the server starts again: its
// certificate, the key that signs the tokens of service accounts, and the
// administrator's certificate.
func (k *KubeServer) prepare() error {
	server, err := k.CA.server(CertECDSA)
	if err != nil {
		return err
	}
	admin, err := k.CA.client("admin", "system:masters")
	if err != nil {
		return err
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"ca.crt": k.CA.CAPEM, "server.crt": server.CertPEM, "server.key": server.KeyPEM,
		"admin.crt": admin.CertPEM, "admin.key": admin.KeyPEM,
		"accounts.key": pemText("PRIVATE KEY", private), "accounts.pub": pemText("PUBLIC KEY", public),
	} {
		if err := os.WriteFile(k.file(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return k.adminClient(admin)
}

func (k *KubeServer) adminClient(admin KeyPair) error {
	pair, err := tls.X509KeyPair([]byte(admin.CertPEM), []byte(admin.KeyPEM))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(k.CA.CAPEM))
	k.admin = &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
			// Nothing is left to clean up when the server or the test ends.
			DisableKeepAlives: true,
		},
	}
	return nil
}

func (k *KubeServer) file(name string) string { return k.api.file(name) }

// URL is the server's address, on 127.0.0.1, with a certificate of CA.
func (k *KubeServer) URL() string { return fmt.Sprintf("https://127.0.0.1:%d", k.Port) }

// CAFile is the path of CA's certificate.
func (k *KubeServer) CAFile() string { return k.file("ca.crt") }

// Kubeconfig is the path of the administrator's kubeconfig.
func (k *KubeServer) Kubeconfig() string { return k.file("kubeconfig") }

// Log is what the API server and etcd have logged so far.
func (k *KubeServer) Log() string { return k.api.Log() + k.etcd.Log() }

// writeKubeconfig is done at each start: the port may be another.
func (k *KubeServer) writeKubeconfig() error {
	return os.WriteFile(k.Kubeconfig(), fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: test
  cluster: {server: %q, certificate-authority: ca.crt}
users:
- name: admin
  user: {client-certificate: admin.crt, client-key: admin.key}
contexts:
- name: admin
  context: {cluster: test, user: admin}
current-context: admin
`, k.URL()), 0o600)
}
