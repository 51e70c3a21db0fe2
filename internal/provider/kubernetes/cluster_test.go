package kubernetes

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"secretless/internal/kubeapi"
	"secretless/internal/provider"
	"secretless/internal/provider/providertest"
	"secretless/internal/testenv"
)

const canary = "c4nary-kube"

// reader is a service account that may read one secret.
func reader(t *testing.T, k *testenv.KubeServer, namespace, account, name string) string {
	t.Helper()
	k.Account(t, namespace, account, testenv.KubeRule{
		Groups: []string{""}, Resources: []string{"secrets"}, Names: []string{name}, Verbs: []string{"get"},
	})
	return k.Token(t, namespace, account)
}

// with is a provider for k that logs in with a token.
func with(t *testing.T, k *testenv.KubeServer, token, namespace string) provider.Provider {
	t.Helper()
	return build(t, Config{Server: k.URL(), CACert: k.CAFile(), Token: provider.LiteralSetting(token), Namespace: namespace}, nil)
}

func TestConformance(t *testing.T) {
	k := testenv.Kubernetes(t)
	namespace := k.Namespace(t)
	token := reader(t, k, namespace, "app", "suite")
	providertest.Run(t, providertest.Config{
		New: func(t *testing.T, s provider.Setup, values map[string][]byte) providertest.Source {
			k.SetSecret(t, namespace, "suite", values)
			refs := map[string]string{}
			for name := range values {
				refs[name] = "suite#" + name
			}
			s.Decode = func(into any) error {
				*into.(*Config) = Config{Server: k.URL(), CACert: k.CAFile(), Token: provider.LiteralSetting(token), Namespace: namespace}
				return nil
			}
			p, err := Definition().Build(s)
			if err != nil {
				t.Fatal(err)
			}
			return providertest.Source{Provider: p, Refs: refs, Missing: "suite#missing"}
		},
	})
}

// The documented manifest is enough, and every right of it is needed.
func TestManifest(t *testing.T) {
	k := testenv.Kubernetes(t)
	namespace := k.Namespace(t)
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "examples", "kubernetes", "rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "namespace: shop") {
		t.Fatal("the manifest names no namespace shop")
	}
	apply := func(text string) {
		t.Helper()
		file := testenv.WriteFile(t, "rbac.yaml", strings.ReplaceAll(text, "namespace: shop", "namespace: "+namespace))
		if _, err := k.Kubectl(t, "apply", "-f", file); err != nil {
			t.Fatal(err)
		}
	}
	apply(string(text))
	for _, name := range []string{"orders-db", "other"} {
		k.SetSecret(t, namespace, name, map[string][]byte{"username": []byte("app"), "password": []byte("pa ss")})
	}
	get := testenv.KubeAccess{Resource: "secrets", Name: "orders-db", Verb: "get"}
	k.AwaitAccess(t, namespace, "secretless", get, true)
	p := with(t, k, k.Token(t, namespace, "secretless"), namespace)
	if got, err := fetch(t, p, "orders-db#username", "orders-db#password"); got != "app pa ss" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, more := range []testenv.KubeAccess{
		{Resource: "secrets", Verb: "list"},
		{Resource: "secrets", Verb: "watch"},
		{Resource: "secrets", Verb: "get"},
		{Resource: "secrets", Name: "orders-db", Verb: "update"},
		{Resource: "secrets", Name: "orders-db", Verb: "list"},
		{Resource: "configmaps", Verb: "get"},
		{Resource: "pods", Verb: "get"},
	} {
		k.AwaitAccess(t, namespace, "secretless", more, false)
	}
	forbidden := func(name string) string {
		return "the account may not read secret " + name + " in namespace " + namespace + ": give it a Role there with the verb get on this secret"
	}
	check(t, p, "other#password", forbidden("other"), false)
	// Whether a secret exists is not said to who may not read it.
	check(t, p, "nowhere#password", forbidden("nowhere"), false)

	apply(strings.Replace(string(text), "verbs: [get]", "verbs: [list]", 1))
	k.AwaitAccess(t, namespace, "secretless", get, false)
	check(t, p, "orders-db#password", forbidden("orders-db"), false)
	apply(string(text))
	k.AwaitAccess(t, namespace, "secretless", get, true)
	if _, err := k.Kubectl(t, "-n", namespace, "delete", "rolebinding", "secretless"); err != nil {
		t.Fatal(err)
	}
	k.AwaitAccess(t, namespace, "secretless", get, false)
	check(t, p, "orders-db#password", forbidden("orders-db"), false)
}

func TestErrorsOfTheServer(t *testing.T) {
	k := testenv.Kubernetes(t)
	namespace := k.Namespace(t)
	k.SetSecret(t, namespace, "db", map[string][]byte{"password": []byte(canary), "username": []byte("app")})
	p := with(t, k, reader(t, k, namespace, "app", "db"), namespace)
	check(t, p, "db#pass", "secret db in namespace "+namespace+" has no field pass; it has password, username", false)

	admin := build(t, Config{Kubeconfig: k.Kubeconfig()}, nil)
	check(t, admin, "nothing#x", "there is no secret nothing in namespace default", false)
	check(t, admin, "nowhere/nothing#x", "there is no secret nothing in namespace nowhere", false)
	check(t, with(t, k, canary, namespace), "db#password", kubeapi.ErrUnauthorized.Error(), false)

	gone := reader(t, k, namespace, "gone", "db")
	k.DeleteAccount(t, namespace, "gone")
	check(t, with(t, k, gone, namespace), "db#password", kubeapi.ErrUnauthorized.Error(), false)
}

// The largest secret that the server takes comes through.
func TestLargestSecret(t *testing.T) {
	k := testenv.Kubernetes(t)
	namespace := k.Namespace(t)
	value := bytes.Repeat([]byte{0xff}, 1<<20)
	k.SetSecret(t, namespace, "large", map[string][]byte{"key": value})
	p := build(t, Config{Kubeconfig: k.Kubeconfig(), Namespace: namespace}, nil)
	leases, err := p.Fetch(t.Context(), []string{"large#key"})
	if err != nil || !bytes.Equal(leases["large#key"].Value.Bytes(), value) {
		t.Errorf("%d bytes, %v", leases["large#key"].Value.Len(), err)
	}
}

// What is configured finds the cluster, in its order.
func TestWhereTheClusterIs(t *testing.T) {
	k := testenv.Kubernetes(t)
	namespace, other := k.Namespace(t), k.Namespace(t)
	k.SetSecret(t, namespace, "db", map[string][]byte{"where": []byte("own")})
	k.SetSecret(t, other, "db", map[string][]byte{"where": []byte("other")})
	pod := t.TempDir()
	for name, text := range map[string]string{
		"token": reader(t, k, namespace, "app", "db") + "\n", "ca.crt": k.CA.CAPEM, "namespace": namespace,
	} {
		if err := os.WriteFile(filepath.Join(pod, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".kube"), 0o700); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(k.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(k.Kubeconfig())
	absolute := strings.NewReplacer("ca.crt", filepath.Join(dir, "ca.crt"), "admin.crt", filepath.Join(dir, "admin.crt"),
		"admin.key", filepath.Join(dir, "admin.key"), "user: admin}", "user: admin, namespace: "+other+"}").Replace(string(text))
	if err := os.WriteFile(filepath.Join(home, ".kube", "config"), []byte(absolute), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(k.URL(), "https://"))
	inPod := map[string]string{"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": port}
	for name, c := range map[string]struct {
		config Config
		vars   map[string]string
		want   string
	}{
		"pod":                     {Config{}, inPod, "own"},
		"pod before home":         {Config{}, map[string]string{"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": port, "HOME": home}, "own"},
		"home":                    {Config{}, map[string]string{"HOME": home}, "other"},
		"home, on Windows":        {Config{}, map[string]string{"USERPROFILE": home}, "other"},
		"home, namespace":         {Config{Namespace: namespace}, map[string]string{"HOME": home}, "own"},
		"context":                 {Config{Context: "admin"}, map[string]string{"KUBERNETES_SERVICE_HOST": "127.0.0.1", "HOME": home}, "other"},
		"unknown context":         {Config{Context: "prod"}, map[string]string{"HOME": home}, `!the kubeconfig has no context "prod"`},
		"KUBECONFIG before a pod": {Config{Namespace: other}, map[string]string{"KUBECONFIG": k.Kubeconfig(), "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": port}, "other"},
		"nothing":                 {Config{}, map[string]string{"HOME": t.TempDir()}, "!no cluster is configured: "},
		"pod without port":        {Config{}, map[string]string{"KUBERNETES_SERVICE_HOST": "127.0.0.1:x/"}, "!KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT make no address"},
	} {
		p := build(t, c.config, c.vars)
		p.(*cluster).podDir = pod
		got, err := fetch(t, p, "db#where")
		if text, fails := strings.CutPrefix(c.want, "!"); fails {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v", name, err)
			}
		} else if got != c.want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	// The kubelet replaces the token under a running pod.
	p := build(t, Config{}, inPod)
	p.(*cluster).podDir = pod
	file := filepath.Join(pod, "token")
	if err := os.WriteFile(file, []byte(canary), 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, p, "db#where", kubeapi.ErrUnauthorized.Error(), false)
	if err := os.WriteFile(file, []byte(k.Token(t, namespace, "app")), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := fetch(t, p, "db#where"); got != "own" || err != nil {
		t.Errorf("new token: %q, %v", got, err)
	}
}

// A proxy of the kubeconfig sees a tunnel and no token, and the name of the
// certificate can be another than the host's.
func TestProxyAndServerName(t *testing.T) {
	k := testenv.Kubernetes(t)
	namespace := k.Namespace(t)
	k.SetSecret(t, namespace, "db", map[string][]byte{"where": []byte("own")})
	token := reader(t, k, namespace, "app", "db")
	proxy := newProxy(t)
	path := testenv.Kubeconfig(t, t.TempDir(), "config", `server: "`+k.URL()+`", certificate-authority: "`+k.CAFile()+`", tls-server-name: localhost, proxy-url: "http://`+proxy.address+`"`,
		"token: "+token)
	p := build(t, Config{Kubeconfig: path, Namespace: namespace}, nil)
	if got, err := fetch(t, p, "db#where"); got != "own" || err != nil || proxy.tunnels.Load() != 1 {
		t.Errorf("%q, %v, %d tunnels", got, err, proxy.tunnels.Load())
	}
	path = testenv.Kubeconfig(t, t.TempDir(), "config", `server: "`+k.URL()+`", certificate-authority: "`+k.CAFile()+`", tls-server-name: other.example`, "token: "+token)
	_, err := fetch(t, build(t, Config{Kubeconfig: path, Namespace: namespace}, nil), "db#where")
	if err == nil || !strings.Contains(err.Error(), "the API server's certificate is not trusted: x509: certificate is valid for localhost, not other.example") {
		t.Errorf("wrong name: %v", err)
	}
}

// proxy is an HTTP proxy for CONNECT.
type proxy struct {
	address string
	tunnels atomic.Int32
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: l.Addr().String()}
	var tunnels sync.WaitGroup
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Header.Get("Authorization") != "" {
			t.Errorf("the proxy got %s %v", r.Method, r.Header)
			return
		}
		target, err := net.Dial("tcp", r.Host)
		if err != nil {
			t.Error(err)
			return
		}
		p.tunnels.Add(1)
		client, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
		tunnels.Go(func() { _, _ = io.Copy(target, client); _ = target.Close() })
		tunnels.Go(func() { _, _ = io.Copy(client, target); _ = client.Close() })
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
		tunnels.Wait()
	})
	return p
}

// A server that has gone is a transient error; the next lookup finds the one
// that has come back.
func TestRestart(t *testing.T) {
	k := testenv.NewKubernetes(t)
	namespace := k.Namespace(t)
	k.SetSecret(t, namespace, "db", map[string][]byte{"where": []byte("own")})
	p := with(t, k, reader(t, k, namespace, "app", "db"), namespace)
	if got, err := fetch(t, p, "db#where"); got != "own" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	k.Kill()
	_, err := fetch(t, p, "db#where")
	if !isTransientLookup(err) {
		t.Errorf("killed: %v", err)
	}
	k.Restart(t)
	k.AwaitAccess(t, namespace, "app", testenv.KubeAccess{Resource: "secrets", Name: "db", Verb: "get"}, true)
	if got, err := fetch(t, p, "db#where"); got != "own" || err != nil {
		t.Errorf("restarted: %q, %v", got, err)
	}
}

func isTransientLookup(err error) bool {
	e, ok := err.(*provider.Error) //nolint:errorlint // what Fetch returns
	return ok && e.Transient && strings.Contains(e.Error(), "asking the API server: ")
}
