//go:build unix

package e2e

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"secretless/internal/assemble"
	"secretless/internal/testenv"
)

type manifest = map[string]any

// manifests are the documents of a stream.
func manifests(t *testing.T, text string) []manifest {
	t.Helper()
	var all []manifest
	for dec := yaml.NewDecoder(strings.NewReader(text)); ; {
		var m manifest
		err := dec.Decode(&m)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if m != nil {
			all = append(all, m)
		}
	}
}

// at walks down maps and lists.
func at(m any, path ...any) any {
	for _, key := range path {
		switch k := key.(type) {
		case string:
			below, _ := m.(manifest)
			m = below[k]
		case int:
			list, _ := m.([]any)
			if k >= len(list) {
				return nil
			}
			m = list[k]
		}
	}
	return m
}

// loads builds a configuration as a broker would.
func loads(t *testing.T, name string, text []byte) {
	t.Helper()
	a := assemble.New(assemble.Options{LookupEnv: os.LookupEnv, Log: slog.New(slog.DiscardHandler)})
	defer a.Close()
	file, err := a.Parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	built, err := a.Build(file)
	if err != nil {
		t.Fatal(err)
	}
	built.Discard()
}

// accepted applies a stream for trial, and looks into what concerns the broker:
// configurations load, and pods are what the strictest standard allows.
func (c *cluster) accepted(name, text string) (brokers int) {
	c.t.Helper()
	file := testenv.WriteFile(c.t, "all.yaml", text)
	c.kubectl("-n", c.namespace, "apply", "--dry-run=server", "-f", file)
	for _, m := range manifests(c.t, text) {
		switch m["kind"] {
		case "Configuration":
			one, err := yaml.Marshal(m)
			if err != nil {
				c.t.Fatal(err)
			}
			loads(c.t, name, one)
		case "ConfigMap":
			loads(c.t, name, []byte(at(m, "data", "secretless.yml").(string)))
		case "Deployment":
			brokers++
			c.pod(name, at(m, "spec", "template", "spec").(manifest))
		}
	}
	return brokers
}

// pod makes a pod of a template, on trial.
func (c *cluster) pod(name string, spec manifest) {
	c.t.Helper()
	text, err := yaml.Marshal(manifest{"apiVersion": "v1", "kind": "Pod", "metadata": manifest{"name": "trial"}, "spec": spec})
	if err != nil {
		c.t.Fatal(err)
	}
	c.kubectl("-n", c.namespace, "create", "--dry-run=server", "-f", testenv.WriteFile(c.t, "pod.yaml", string(text)))
	broker, others := at(spec, "initContainers", 0), at(spec, "containers")
	if broker == nil {
		broker, others = at(spec, "containers", 0), nil
	} else if at(broker, "restartPolicy") != "Always" {
		c.t.Errorf("%s: no native sidecar", name)
	}
	if at(broker, "securityContext", "readOnlyRootFilesystem") != true || at(broker, "name") != "secretless" {
		c.t.Errorf("%s: %v", name, broker)
	}
	// What the broker's account may read, the application must not.
	if at(spec, "automountServiceAccountToken") != false {
		c.t.Errorf("%s: every container gets the account's token", name)
	}
	list, _ := others.([]any)
	for _, container := range list {
		mounts, _ := at(container, "volumeMounts").([]any)
		for _, m := range mounts {
			if n := at(m, "name"); n != "secretless-sockets" {
				c.t.Errorf("%s: the application has the broker's volume %v", name, n)
			}
		}
	}
}

// Every manifest is one that a real API server takes, in a namespace that allows
// restricted pods alone.
func TestManifests(t *testing.T) {
	c := newCluster(t, testenv.Kubernetes(t))
	c.kubectl("label", "namespace", c.namespace, "pod-security.kubernetes.io/enforce=restricted")
	own := func(text string) string {
		return strings.ReplaceAll(text, "namespace: shop", "namespace: "+c.namespace)
	}
	for _, example := range []string{"crd", "configmap"} {
		text := c.kubectl("kustomize", filepath.Join("..", "..", "examples", "kubernetes", example))
		if c.accepted("examples/kubernetes/"+example, own(text)) != 1 {
			t.Errorf("%s has no broker", example)
		}
	}

	chart := filepath.Join(deployed, "helm", "secretless")
	helm := func(args ...string) string {
		t.Helper()
		out, err := testenv.Helm(t, args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	helm("lint", "--strict", chart)
	configuration, err := os.ReadFile("../../examples/kubernetes/crd/configuration.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var resource manifest
	if err := yaml.Unmarshal(configuration, &resource); err != nil {
		t.Fatal(err)
	}
	values, err := yaml.Marshal(manifest{"configuration": resource["spec"], "secrets": []string{"orders-db"}})
	if err != nil {
		t.Fatal(err)
	}
	crd := testenv.WriteFile(t, "values.yaml", string(values))
	standalone := []string{"--set", "standalone.enabled=true,standalone.ports[0].name=orders-db,standalone.ports[0].port=5432"}
	for name, args := range map[string][]string{
		"crd":  append([]string{"-f", crd}, standalone...),
		"file": append([]string{"--set", "source=file,serviceAccount.create=false", "--set-file", "file=../../examples/kubernetes/configmap/secretless.yml"}, standalone...),
	} {
		text := helm(append([]string{"template", "shop", chart, "--namespace", c.namespace}, args...)...)
		if c.accepted("helm "+name, text) != 1 {
			t.Errorf("helm %s has no broker:\n%s", name, text)
		}
	}
	if out, err := testenv.Helm(t, "template", "shop", chart, "--set", "source=etcd,standalone.enabled=true"); err == nil || !strings.Contains(out, "source must be crd or file, not etcd") {
		t.Errorf("an unknown source: %v %s", err, out)
	}
	if text := helm("template", "shop", parentChart(t, chart), "--namespace", c.namespace); c.accepted("a chart that depends on it", text) != 1 {
		t.Errorf("the parent has no broker:\n%s", text)
	}
}

// parentChart is somebody's chart with the broker beside the application, as the
// comment in _sidecar.tpl says.
func parentChart(t *testing.T, chart string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "charts", "secretless"), os.DirFS(chart)); err != nil {
		t.Fatal(err)
	}
	template, err := os.ReadFile(filepath.Join(chart, "templates", "_sidecar.tpl"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(template, []byte("into its pods:\n\n  spec:\n"))
	spec, _, ok := bytes.Cut(rest, []byte("*/}}"))
	if !ok {
		t.Fatal("the template does not say how it is used")
	}
	spec = bytes.ReplaceAll(spec, []byte("nindent 6"), []byte("nindent 8"))
	text := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\nspec:\n  selector: {matchLabels: {app: shop}}\n  template:\n    metadata: {labels: {app: shop}}\n    spec:\n"
	for line := range strings.Lines(string(spec)) {
		text += "  " + line
	}
	text += "      containers: [{name: shop, image: shop, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, runAsNonRoot: true, runAsUser: 1, seccompProfile: {type: RuntimeDefault}}}]\n"
	for name, content := range map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n", "templates/shop.yaml": text,
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
