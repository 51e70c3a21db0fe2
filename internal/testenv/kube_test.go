package testenv_test

import (
	"net/http"
	"strings"
	"testing"

	"secretless/internal/testenv"
)

// Custom resources, kubectl, and accounts with the rights that they were given.
func TestKubernetes(t *testing.T) {
	k := testenv.Kubernetes(t)
	namespace := k.Namespace(t)
	definition := testenv.WriteFile(t, "crd.yaml", `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: fruits.test.example}
spec:
  group: test.example
  scope: Namespaced
  names: {plural: fruits, singular: fruit, kind: Fruit}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {colour: {type: string}}}}}}
`)
	pear := testenv.WriteFile(t, "pear.yaml", `apiVersion: test.example/v1
kind: Fruit
metadata: {name: pear}
spec: {colour: green}
`)
	kubectl := func(args ...string) string {
		t.Helper()
		out, err := k.Kubectl(t, args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	kubectl("apply", "-f", definition)
	kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/fruits.test.example")
	kubectl("-n", namespace, "apply", "-f", pear)
	if out := kubectl("-n", namespace, "get", "fruit", "pear", "-o", "jsonpath={.spec.colour}"); out != "green" {
		t.Errorf("the pear is %q", out)
	}
	k.Account(t, namespace, "eater", testenv.KubeRule{Groups: []string{"test.example"}, Resources: []string{"fruits"}, Verbs: []string{"get", "watch"}})
	as := []string{"--server=" + k.URL(), "--token=" + k.Token(t, namespace, "eater"), "--certificate-authority=" + k.CAFile(), "--kubeconfig=/dev/null", "-n", namespace}
	if out := kubectl(append(as, "get", "fruit", "pear", "-o", "name")...); !strings.Contains(out, "pear") {
		t.Errorf("got %q", out)
	}
	if out, err := k.Kubectl(t, append(as, "delete", "fruit", "pear")...); err == nil || !strings.Contains(out, "forbidden") {
		t.Errorf("an account may do more: %s", out)
	}
}

func TestKubernetesStopsAndStarts(t *testing.T) {
	k := testenv.NewKubernetes(t)
	namespace := k.Namespace(t)
	k.SetSecret(t, namespace, "s", map[string][]byte{"a": []byte("1")})
	k.SetSecret(t, namespace, "s", map[string][]byte{"a": []byte("2")})
	for name, end := range map[string]func(){"stopped": k.Stop, "killed": k.Kill} {
		end()
		k.Restart(t)
		var got struct{ Data map[string][]byte }
		k.Do(t, http.MethodGet, "/api/v1/namespaces/"+namespace+"/secrets/s", nil, &got)
		if string(got.Data["a"]) != "2" {
			t.Errorf("%s: %q", name, got.Data)
		}
	}
}
