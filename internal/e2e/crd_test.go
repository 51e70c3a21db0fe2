//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"secretless/internal/testenv"
)

// cluster is an API server that knows configurations, and a namespace with a
// broker's account in it that has the delivered Role's rights.
type cluster struct {
	*testenv.KubeServer
	t         *testing.T
	namespace string
}

const deployed = "../../deploy/kubernetes"

func newCluster(t *testing.T, k *testenv.KubeServer) *cluster {
	t.Helper()
	c := &cluster{k, t, k.Namespace(t)}
	c.kubectl("apply", "--server-side", "-f", filepath.Join(deployed, "base", "crd.yaml"))
	c.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/configurations.secretless.io")
	names, groups := []string{"orders"}, []string{"secretless.io"}
	k.Account(t, c.namespace, "broker",
		testenv.KubeRule{Groups: groups, Resources: []string{"configurations"}, Names: names, Verbs: []string{"list", "watch"}},
		testenv.KubeRule{Groups: groups, Resources: []string{"configurations/status"}, Names: names, Verbs: []string{"patch"}})
	return c
}

func (c *cluster) kubectl(args ...string) string {
	c.t.Helper()
	out, err := c.Kubectl(c.t, args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// kubeconfig is what a broker in a pod of the namespace would find.
func (c *cluster) kubeconfig() string {
	c.t.Helper()
	return testenv.WriteFile(c.t, "kubeconfig", fmt.Sprintf(`clusters: [{name: c, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: u, user: {token: %s}}]
contexts: [{name: x, context: {cluster: c, user: u, namespace: %s}}]
current-context: x
`, c.URL(), c.CAFile(), c.Token(c.t, c.namespace, "broker"), c.namespace))
}

// apply makes or replaces the configuration of a name; spec is YAML.
func (c *cluster) apply(namespace, name, spec string) {
	c.t.Helper()
	text := fmt.Sprintf("apiVersion: secretless.io/v2\nkind: Configuration\nmetadata: {name: %s, namespace: %s}\nspec:\n  %s\n",
		name, namespace, strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  "))
	c.kubectl("apply", "-f", testenv.WriteFile(c.t, "configuration.yaml", text))
}

// status is a condition of the resource, as "status reason message".
func (c *cluster) status() string {
	c.t.Helper()
	return c.kubectl("-n", c.namespace, "get", "configuration", "orders", "-o",
		`jsonpath={.status.observedGeneration}/{.metadata.generation} {range .status.conditions[?(@.type=="Accepted")]}{.status} {.reason} {.message}{end}`)
}

func (c *cluster) awaitStatus(r *running, want string) string {
	c.t.Helper()
	got := ""
	r.eventually("the status "+want, func() bool {
		got = c.status()
		return strings.Contains(got, want)
	})
	return got
}

// follow starts a broker that follows the resource orders.
func (c *cluster) follow(r *running) {
	r.env["KUBECONFIG"] = c.kubeconfig()
	r.launch("serve", "--config-mgr", "k8s/crd#orders", "--health", "unix://"+r.dir+"/health", "--log-level=debug", "--log-format=json")
}

// user connects through the broker and says as whom.
func (r *running) user() string {
	r.t.Helper()
	out, err := r.psql("-Atc", "select current_user")
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(out)
}

// answers is the health endpoint's status, 0 for none: it closes for a moment
// when the first configuration comes.
func (r *running) answers(path string) int {
	r.t.Helper()
	client := http.Client{Timeout: patience, Transport: unixTransport(filepath.Join(r.dir, "health"))}
	resp, err := client.Get("http://health" + path)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// spec is a configuration with one service. Passwords are in the environment
// before the broker starts.
func (r *running) spec(server *testenv.Server, user testenv.User) string {
	return fmt.Sprintf(`services:
  db:
    connector: pg
    listenOn: ["tcp://127.0.0.1:%d", "unix://%s/.s.PGSQL.5432"]
    credentials:
      host: 127.0.0.1
      port: %d
      sslmode: disable
      username: %s
      password: {from: env, get: %s}
`, r.port, r.dir, server.Port, user.Name, "PW_"+user.Name)
}

// The life of a broker with a custom resource.
func TestCustomResource(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	c := newCluster(t, testenv.NewKubernetes(t))
	other := c.Namespace(t)
	r := prepare(t)
	one, two := server.Users.SCRAM, server.Users.MD5
	for _, u := range []testenv.User{one, two} {
		r.env["PW_"+u.Name] = u.Password
	}

	// It waits, alive and not ready; another namespace's resource is not its.
	c.apply(other, "orders", r.spec(server, one))
	c.follow(r)
	r.eventually("the broker to wait", func() bool { return r.log.has("waiting for the configuration to be made") })
	if r.answers("/live") != http.StatusOK || r.answers("/ready") != http.StatusServiceUnavailable {
		t.Errorf("while it waits: live %d, ready %d", r.answers("/live"), r.answers("/ready"))
	}
	// A first one that is wrong is reported, and waited on.
	c.apply(c.namespace, "orders", strings.Replace(r.spec(server, one), "connector: pg", "connector: pgg", 1))
	c.awaitStatus(r, `1/1 False Invalid `)
	if r.answers("/ready") != http.StatusServiceUnavailable {
		t.Error("ready with a wrong configuration")
	}
	c.apply(c.namespace, "orders", r.spec(server, one))
	r.eventually("the broker to be ready", func() bool { return r.answers("/ready") == http.StatusOK })
	if got := r.user(); got != one.Name {
		t.Errorf("logged in as %s", got)
	}
	c.awaitStatus(r, "2/2 True Applied in effect")

	// A change is followed; how fast is measured here and not asserted.
	began := time.Now()
	c.apply(c.namespace, "orders", r.spec(server, two))
	applied := time.Since(began)
	r.eventually("the change", func() bool { return r.log.has(`"msg":"configuration reloaded"`) })
	t.Logf("kubectl took %v, and the broker had reloaded %v after it began", applied.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	if got := r.user(); got != two.Name {
		t.Errorf("logged in as %s", got)
	}
	c.awaitStatus(r, "3/3 True Applied")

	// One that is wrong changes nothing, and the resource says all that is wrong.
	bad := strings.Replace(r.spec(server, one), "sslmode: disable", "sslmode: disabled", 1) + "    alow: {users: [nobody]}\n"
	c.apply(c.namespace, "orders", bad)
	got := c.awaitStatus(r, "4/4 False Invalid ")
	for _, want := range []string{
		"spec.services.db.credentials.sslmode: ", `spec.services.db.alow: unknown key "alow"; did you mean "allow"?`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the status %s", want, got)
		}
	}
	if got := r.user(); got != two.Name {
		t.Errorf("after a wrong one: logged in as %s", got)
	}

	// One that cannot be put into effect changes nothing either.
	c.apply(c.namespace, "orders", strings.Replace(r.spec(server, one), fmt.Sprintf(":%d", r.port), fmt.Sprintf(":%d", server.Port), 1))
	c.awaitStatus(r, "5/5 False NotApplied ")
	if got := r.user(); got != two.Name {
		t.Errorf("after one that cannot listen: logged in as %s", got)
	}

	// Deleted: what runs stays. Made again: followed again. The other namespace's
	// is still nobody's.
	c.apply(other, "orders", r.spec(server, one))
	c.kubectl("-n", c.namespace, "delete", "configuration", "orders")
	r.eventually("the broker to notice", func() bool { return r.log.has("the configuration was deleted, what runs stays") })
	if got := r.user(); got != two.Name {
		t.Errorf("after it was deleted: logged in as %s", got)
	}
	c.apply(c.namespace, "orders", r.spec(server, one))
	c.awaitStatus(r, "1/1 True Applied")
	if got := r.user(); got != one.Name {
		t.Errorf("after it was made again: logged in as %s", got)
	}

	c.leaves(r, one.Name, two.Name, r.spec(server, two))
	for _, secret := range []string{"Bearer", c.token(r), one.Password, two.Password} {
		if r.log.has(secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// The program itself, hardened as it is by default: what it has given up with a
// first configuration that could not be put into effect does not keep it from a
// later one, or from following the resource.
func TestCustomResourceHardened(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	c := newCluster(t, testenv.Kubernetes(t))
	r := prepare(t)
	one, two := server.Users.SCRAM, server.Users.MD5
	r.env = map[string]string{"HOME": r.dir, "KUBECONFIG": c.kubeconfig(), "PW_" + one.Name: one.Password, "PW_" + two.Name: two.Password}
	// A file stands where the socket shall be.
	socket := filepath.Join(r.dir, ".s.PGSQL.5432")
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.apply(c.namespace, "orders", r.spec(server, one))
	r.exec(buildBinary(t), "", "serve", "--config-mgr", "k8s/crd#orders", "--health", "unix://"+r.dir+"/health", "--log-format=json")
	c.awaitStatus(r, "1/1 False NotApplied ")
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	c.apply(c.namespace, "orders", r.spec(server, two))
	c.awaitStatus(r, "2/2 True Applied in effect")
	if got := r.user(); got != two.Name {
		t.Errorf("logged in as %s", got)
	}
	c.apply(c.namespace, "orders", r.spec(server, one))
	c.awaitStatus(r, "3/3 True Applied in effect")
	if got := r.user(); got != one.Name {
		t.Errorf("after a change: logged in as %s", got)
	}
	if !r.log.has(`"msg":"hardening"`) {
		t.Errorf("not hardened: %s", r.log)
	}
	if err := os.Remove(socket); err != nil { // the program is killed
		t.Error(err)
	}
}

// leaves is the API server going away, and being caught up with when it is back.
func (c *cluster) leaves(r *running, before, after, spec string) {
	c.t.Helper()
	c.Kill()
	r.eventually("the broker to notice", func() bool { return r.log.has("the configuration cannot be followed, what runs stays") })
	if got := r.user(); got != before {
		c.t.Errorf("without the API server: logged in as %s", got)
	}
	c.Restart(c.t)
	began := time.Now()
	c.apply(c.namespace, "orders", spec)
	r.eventually("the broker to catch up", func() bool { return r.user() == after })
	c.t.Logf("caught up %v after the change", time.Since(began).Round(time.Millisecond))
	c.awaitStatus(r, "True Applied")
}

// token is what the kubeconfig of the broker has.
func (c *cluster) token(r *running) string {
	c.t.Helper()
	text, err := os.ReadFile(r.env["KUBECONFIG"])
	if err != nil {
		c.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "token: ")
	token, _, _ := strings.Cut(rest, "}")
	return token
}
