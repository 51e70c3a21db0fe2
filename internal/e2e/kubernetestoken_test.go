//go:build unix

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"secretless/internal/testenv"
)

// A credential plugin of kubectl gives the token, through the exec provider and
// the documented script: one that is refused is asked for anew at once.
func TestKubernetesTokenFromPlugin(t *testing.T) {
	kube, server := testenv.Kubernetes(t), testenv.Postgres(t, testenv.PG{})
	for _, tool := range []string{"bash", "jq"} {
		testenv.Tool(t, tool)
	}
	namespace, user := kube.Namespace(t), server.Users.SCRAM
	kube.SetSecret(t, namespace, "db", map[string][]byte{"username": []byte(user.Name), "password": []byte(user.Password)})
	rule := testenv.KubeRule{Groups: []string{""}, Resources: []string{"secrets"}, Names: []string{"db"}, Verbs: []string{"get"}}
	kube.Account(t, namespace, "app", rule)
	kube.Account(t, namespace, "gone", rule)
	refused, token := kube.Token(t, namespace, "gone"), kube.Token(t, namespace, "app")
	kube.DeleteAccount(t, namespace, "gone")
	calls := filepath.Join(t.TempDir(), "calls")
	plugin := testenv.WriteFile(t, "plugin", fmt.Sprintf(`#!/bin/sh
case $KUBERNETES_EXEC_INFO in *'"kind": "ExecCredential"'*) ;; *) exit 1 ;; esac
[ "$*" = "get-token --cluster prod" ] || exit 1
token=%s; [ -e %s ] || token=%s
echo "$*" >>%s
echo '{"kind": "ExecCredential", "status": {"token": "'$token'", "expirationTimestamp": "2100-01-01T00:00:00Z"}}'
`, token, calls, refused, calls))
	if err := os.Chmod(plugin, 0o700); err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs(filepath.Join("..", "..", "examples", "exec", "kubernetes-token.sh"))
	if err != nil {
		t.Fatal(err)
	}
	r := prepare(t)
	r.env["PATH"] = os.Getenv("PATH")
	r.run(fmt.Sprintf(`version: "2"
services:
  db:
    connector: pg
    listenOn: ["tcp://127.0.0.1:%d", "unix://%s/.s.PGSQL.5432"]
    credentials:
      host: 127.0.0.1
      port: %d
      sslmode: disable
      username: { from: kube, get: "db#username" }
      password: { from: kube, get: "db#password" }
providers:
  kube:
    type: kubernetes
    server: %q
    caCert: %q
    token: { from: plugin, get: token }
    namespace: %s
    timeout: 20s
    cache: 0s
  plugin: { type: exec, command: [%q, %q, get-token, --cluster, prod], env: [PATH], timeout: 20s }
`, r.port, r.dir, server.Port, kube.URL(), kube.CAFile(), namespace, script, plugin))
	for range 3 {
		expectUser(t, r.dsn(), user.Name)
	}
	if asked, err := os.ReadFile(calls); err != nil || string(asked) != "get-token --cluster prod\nget-token --cluster prod\n" {
		t.Errorf("the plugin was asked: %q, %v", asked, err)
	}
	for _, text := range []string{refused, token, user.Password} {
		if r.log.has(text) {
			t.Error("a token or the password is in the log")
		}
	}
}
