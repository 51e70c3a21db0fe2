package testenv

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// KubeRule is what a service account may do: a rule of an RBAC Role.
type KubeRule struct {
	Groups    []string `json:"apiGroups"`
	Resources []string `json:"resources"`
	Names     []string `json:"resourceNames,omitempty"`
	Verbs     []string `json:"verbs"`
}

// Do is a request of the administrator: in goes as JSON and the answer into
// out, each if it is not nil. It fails the test where the server does not agree.
func (k *KubeServer) Do(t testing.TB, method, path string, in, out any) {
	t.Helper()
	status, answer := k.request(t, method, path, in)
	if status/100 != 2 {
		t.Fatalf("%s %s: status %d: %s", method, path, status, answer)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(answer, out); err != nil {
		t.Fatalf("%s %s: %v: %s", method, path, err, answer)
	}
}

func (k *KubeServer) request(t testing.TB, method, path string, in any) (int, []byte) {
	t.Helper()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, k.URL()+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	} else if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := k.admin.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

type object = map[string]any

// Namespace makes a namespace for this test alone.
func (k *KubeServer) Namespace(t testing.TB) string {
	t.Helper()
	var made struct{ Metadata struct{ Name string } }
	k.Do(t, http.MethodPost, "/api/v1/namespaces", object{"metadata": object{"generateName": "test-"}}, &made)
	return made.Metadata.Name
}

// SetSecret makes a secret of data, or replaces what it holds.
func (k *KubeServer) SetSecret(t testing.TB, namespace, name string, data map[string][]byte) {
	t.Helper()
	path := "/api/v1/namespaces/" + namespace + "/secrets"
	body := object{"metadata": object{"name": name}, "data": data}
	status, answer := k.request(t, http.MethodPut, path+"/"+name, body)
	if status == http.StatusNotFound {
		status, answer = k.request(t, http.MethodPost, path, body)
	}
	if status/100 != 2 {
		t.Fatalf("set secret %s/%s: status %d: %s", namespace, name, status, answer)
	}
}

// Account makes a service account with exactly these rights in its namespace,
// and returns when they are in force.
func (k *KubeServer) Account(t testing.TB, namespace, name string, rules ...KubeRule) {
	t.Helper()
	const rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/"
	meta := object{"name": name}
	k.Do(t, http.MethodPost, "/api/v1/namespaces/"+namespace+"/serviceaccounts", object{"metadata": meta}, nil)
	k.Do(t, http.MethodPost, rbac+namespace+"/roles", object{"metadata": meta, "rules": rules}, nil)
	k.Do(t, http.MethodPost, rbac+namespace+"/rolebindings", object{
		"metadata": meta,
		"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
		"subjects": []object{{"kind": "ServiceAccount", "name": name, "namespace": namespace}},
	}, nil)
	for _, r := range rules {
		what := KubeAccess{Group: r.Groups[0], Verb: r.Verbs[0]}
		what.Resource, what.Subresource, _ = strings.Cut(r.Resources[0], "/")
		if len(r.Names) > 0 {
			what.Name = r.Names[0]
		}
		k.AwaitAccess(t, namespace, name, what, true)
	}
}

// KubeAccess is something that one can be allowed to do in a namespace.
type KubeAccess struct {
	Group       string
	Resource    string
	Subresource string
	Name        string
	Verb        string
}

// AwaitAccess waits until a service account is allowed something, or is not:
// the server learns of changed roles a moment after it has stored them.
func (k *KubeServer) AwaitAccess(t testing.TB, namespace, account string, what KubeAccess, want bool) {
	t.Helper()
	review := object{"spec": object{
		"user":   "system:serviceaccount:" + namespace + ":" + account,
		"groups": []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
		"resourceAttributes": object{
			"namespace": namespace, "group": what.Group, "resource": what.Resource, "subresource": what.Subresource, "name": what.Name, "verb": what.Verb,
		},
	}}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var answer struct{ Status struct{ Allowed bool } }
		k.Do(t, http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", review, &answer)
		if answer.Status.Allowed == want {
			return
		}
	}
	t.Fatalf("%s/%s: %+v does not become allowed=%v", namespace, account, what, want)
}

// DeleteAccount deletes a service account; its tokens are worth nothing after
// that, though one that was used lately serves for up to 10 seconds more.
func (k *KubeServer) DeleteAccount(t testing.TB, namespace, name string) {
	t.Helper()
	k.Do(t, http.MethodDelete, "/api/v1/namespaces/"+namespace+"/serviceaccounts/"+name, nil, nil)
}

// Token issues a token for a service account, good for an hour.
func (k *KubeServer) Token(t testing.TB, namespace, account string) string {
	t.Helper()
	var answer struct{ Status struct{ Token string } }
	k.Do(t, http.MethodPost, "/api/v1/namespaces/"+namespace+"/serviceaccounts/"+account+"/token",
		object{"spec": object{"expirationSeconds": time.Hour / time.Second}}, &answer)
	return answer.Status.Token
}

// Kubectl runs kubectl as the administrator and returns what it printed.
func (k *KubeServer) Kubectl(t testing.TB, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), kubeProgram("kubectl"), args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "KUBECONFIG=" + k.Kubeconfig(), "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("kubectl %v: %w: %s", args, err, out)
	}
	return string(out), err
}
