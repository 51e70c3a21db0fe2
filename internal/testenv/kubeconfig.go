package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

// Kubeconfig writes a kubeconfig with one cluster, user and context, whose
// namespace is shop, and returns its path. cluster and user are what stands in
// the braces of each.
func Kubeconfig(t testing.TB, dir, name, cluster, user string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	text := "clusters:\n- {name: c, cluster: {" + cluster + "}}\nusers:\n- {name: u, user: {" + user + "}}\n" +
		"contexts:\n- {name: x, context: {cluster: c, user: u, namespace: shop}}\ncurrent-context: x\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
