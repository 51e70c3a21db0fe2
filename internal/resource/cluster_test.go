package resource

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"secretless/internal/testenv"
)

const base = "../../deploy/kubernetes/base"

// install makes the definition known to the shared server.
func install(t *testing.T, k *testenv.KubeServer) {
	t.Helper()
	for _, args := range [][]string{
		{"apply", "--server-side", "-f", filepath.Join(base, "crd.yaml")},
		{"wait", "--for=condition=Established", "--timeout=60s", "crd/configurations.secretless.io"},
	} {
		if _, err := k.Kubectl(t, args...); err != nil {
			t.Fatal(err)
		}
	}
}

// with follows orders with a service account's rights.
func with(t *testing.T, k *testenv.KubeServer, namespace, account string, l *logs) *Watcher {
	t.Helper()
	w := watch(Options{
		Cluster: cluster(testenv.WriteFile(t, "config", kubeconfig(k.URL(), k.CAFile(), k.Token(t, namespace, account), namespace))),
		Group:   "secretless.io", Version: "v2", Plural: "configurations", Name: "orders", Reporter: "pod-1", Log: slog.New(slog.NewTextHandler(l, nil)),
	}, pauses{20 * time.Millisecond, 200 * time.Millisecond})
	t.Cleanup(w.Close)
	return w
}

// The delivered Role is enough, each of its rights is needed, and a message says
// which one is missing.
func TestDeliveredRole(t *testing.T) {
	k := testenv.Kubernetes(t)
	install(t, k)
	namespace, other := k.Namespace(t), k.Namespace(t)
	text, err := os.ReadFile(filepath.Join(base, "rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, ns := range []string{namespace, other} {
		file := testenv.WriteFile(t, "rbac.yaml", string(text))
		if _, err := k.Kubectl(t, "-n", ns, "apply", "-f", file); err != nil {
			t.Fatal(err)
		}
	}
	right := func(resource, verb, name string) testenv.KubeAccess {
		return testenv.KubeAccess{Group: "secretless.io", Resource: resource, Name: name, Verb: verb}
	}
	needed := []testenv.KubeAccess{
		right("configurations", "list", "orders"), right("configurations", "watch", "orders"), right("configurations/status", "patch", "orders"),
	}
	for _, r := range needed {
		r.Resource, r.Subresource, _ = strings.Cut(r.Resource, "/")
		k.AwaitAccess(t, namespace, "secretless", r, true)
	}
	for _, verb := range []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"} {
		more := []testenv.KubeAccess{right("configurations", verb, ""), right("configurations", verb, "another"), {Resource: "secrets", Verb: verb}}
		if !slices.Contains([]string{"list", "watch"}, verb) {
			more = append(more, right("configurations", verb, "orders"))
		}
		for _, r := range more {
			k.AwaitAccess(t, namespace, "secretless", r, false)
		}
	}
	l := &logs{}
	w := with(t, k, namespace, "secretless", l)
	eventually(t, "the wait", func() bool { return strings.Contains(l.String(), "waiting for the configuration to be made") })
	path := "/apis/secretless.io/v2/namespaces/%s/configurations"
	object := func(spec map[string]any) map[string]any {
		return map[string]any{"apiVersion": "secretless.io/v2", "kind": "Configuration", "metadata": map[string]any{"name": "orders"}, "spec": spec}
	}
	services := func(port int) map[string]any {
		return map[string]any{"services": map[string]any{"a": map[string]any{"connector": "pg", "listenOn": fmt.Sprintf("tcp://127.0.0.1:%d", port)}}}
	}
	// The one of another namespace is not ours.
	k.Do(t, http.MethodPost, fmt.Sprintf(path, other), object(services(1)), nil)
	k.Do(t, http.MethodPost, fmt.Sprintf(path, namespace), object(services(2)), nil)
	eventually(t, "the resource", func() bool { o, err := w.Current(); return err == nil && strings.Contains(string(o.Spec), ":2") })
	w.Report(Verdict{Accepted: true, Reason: "Applied", Lines: []string{"in effect"}, Services: 1})
	printed := regexp.MustCompile(`(?m)^orders +True +Applied +1 +\d+`)
	eventually(t, "what kubectl prints", func() bool {
		out, err := k.Kubectl(t, "-n", namespace, "get", "sbconfig")
		return err == nil && printed.MatchString(out)
	})
	if strings.Contains(l.String(), "may not") {
		t.Errorf("with all rights: %s", l)
	}

	// One right less, each in turn.
	for verb, want := range map[string]string{
		"list":  "the account may not list configurations.secretless.io orders in namespace " + namespace + ": give it a Role there with the verb list on configurations of API group secretless.io, resourceNames [orders]",
		"watch": "the account may not watch configurations.secretless.io orders in namespace " + namespace + ": give it a Role there with the verb watch on configurations of API group secretless.io, resourceNames [orders]",
		"patch": "give the account a Role with the verb patch on configurations/status of API group secretless.io, resourceNames [orders]",
	} {
		var rules []testenv.KubeRule
		for _, v := range []string{"list", "watch", "patch"} {
			resource := "configurations"
			if v == "patch" {
				resource = "configurations/status"
			}
			if v != verb {
				rules = append(rules, testenv.KubeRule{Groups: []string{"secretless.io"}, Resources: []string{resource}, Names: []string{"orders"}, Verbs: []string{v}})
			}
		}
		account := "without-" + verb
		k.Account(t, namespace, account, rules...)
		l := &logs{}
		w := with(t, k, namespace, account, l)
		if verb == "patch" {
			eventually(t, "the resource", func() bool { _, err := w.Current(); return err == nil })
			w.Report(Verdict{Reason: "Invalid", Lines: []string{"no"}})
		}
		eventually(t, "a complaint about "+verb, func() bool { return strings.Contains(l.String(), want) })
		if _, err := w.Current(); (err == nil) != (verb != "list") {
			t.Errorf("without %s: %v", verb, err)
		}
		w.Close()
	}
}

// What the definition refuses, and what it must not drop.
func TestDefinition(t *testing.T) {
	k := testenv.Kubernetes(t)
	install(t, k)
	namespace := k.Namespace(t)
	apply := func(name, api, spec string) (string, error) {
		file := testenv.WriteFile(t, "c.yaml", "apiVersion: secretless.io/"+api+"\nkind: Configuration\nmetadata: {name: "+name+"}\nspec: "+spec+"\n")
		return k.Kubectl(t, "-n", namespace, "create", "-f", file)
	}
	const service = `services: {a: {connector: pg, listenOn: ["tcp://127.0.0.1:1"], credentials: {host: h, port: 5432, password: {from: env, get: X}}%s}}`
	for name, c := range map[string]struct{ api, spec, want string }{
		"plain":      {"v2", "{" + fmt.Sprintf(service, "") + "}", ""},
		"version":    {"v2", "{version: 2, " + fmt.Sprintf(service, "") + "}", ""},
		"everything": {"v2", "{version: \"2\", admin: {health: off, socket:}, state: /x, providers: {v: {type: vault, cache: 1m, address: x}}, " + fmt.Sprintf(service, `, allow: {users: app, groups: [1, b], executables:}, socket: {mode: "0660"}, limits: {connections: 5, idleTimeout: 10s}, drain: 5s, config: {enforce: {a: 1}}, tls: {cert: /a, key: {from: file, get: /b}}`) + "}", ""},
		"old":        {"v1", "{listeners: [{name: a}], handlers: [{name: b}]}", ""},
		// YAML's 0660 is a number that means another mode.
		"mode":      {"v2", "{" + fmt.Sprintf(service, ", socket: {mode: 0660}") + "}", "spec.services.a.socket.mode"},
		"duration":  {"v2", "{" + fmt.Sprintf(service, ", drain: tomorrow") + "}", "spec.services.a.drain"},
		"listen":    {"v2", "{services: {a: {connector: pg}}}", "spec.services.a.listenOn: Required value"},
		"connector": {"v2", "{services: {a: {listenOn: tcp://x:1}}}", "spec.services.a.connector: Required value"},
		"nothing":   {"v2", "{}", "spec.services: Required value"},
		"empty":     {"v2", "{services: {}}", "spec.services"},
	} {
		out, err := apply(name, c.api, c.spec)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(out, c.want)) {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
	// A key that is unknown is not lost, so that a broker can refuse it; neither is
	// a resource of the old broker.
	if out, err := apply("typo", "v2", "{"+fmt.Sprintf(service, ", alow: {users: [a]}")+"}"); err != nil {
		t.Error(out)
	}
	for name, want := range map[string]string{"typo": "alow", "old": "listeners"} {
		if out, _ := k.Kubectl(t, "-n", namespace, "get", "configuration", name, "-o", "yaml"); !strings.Contains(out, want+":") {
			t.Errorf("%s: %s is gone from\n%s", name, want, out)
		}
	}
	if out, err := k.Kubectl(t, "explain", "configuration.spec.services.limits.idleTimeout"); err != nil || !strings.Contains(out, "how long a connection may be silent") && !strings.Contains(out, "How long a connection may be silent") {
		t.Errorf("explain: %v %s", err, out)
	}
}
