package testenv

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// plugin tells Vault of one of the programs that script/setup has built beside
// it.
func (s *VaultServer) plugin(t testing.TB, kind, name string) {
	t.Helper()
	s.registering.Lock()
	defer s.registering.Unlock()
	if s.plugins[name] {
		return
	}
	program, err := os.ReadFile(filepath.Join(vaultDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(program)
	s.Write(t, "sys/plugins/catalog/"+kind+"/"+name, map[string]any{"sha256": hex.EncodeToString(sum[:]), "command": name})
	s.plugins[name] = true
}

// KubernetesMethod enables the kubernetes authentication method, whose plugin
// asks the API server at host about each token.
func (s *VaultServer) KubernetesMethod(t testing.TB, host, caPEM string) string {
	t.Helper()
	const plugin = "vault-plugin-auth-kubernetes"
	s.plugin(t, "auth", plugin)
	mount := s.Method(t, plugin)
	s.Write(t, "auth/"+mount+"/config", map[string]any{
		"kubernetes_host": host, "kubernetes_ca_cert": caPEM, "disable_local_ca_jwt": true, "disable_iss_validation": true,
	})
	return mount
}

// VaultRole says how Vault makes accounts of a database.
type VaultRole struct {
	// TTL and MaxTTL are how long an account lives, at first and in all.
	TTL, MaxTTL string
}

// PostgresRole lets the database engine make accounts of a server, and returns
// the path to read them from. The server lets them in if it has AnyRole.
func (s *VaultServer) PostgresRole(t testing.TB, server *Server, role VaultRole) string {
	t.Helper()
	const plugin = "postgresql-database-plugin"
	s.plugin(t, "database", plugin)
	mount := s.Engine(t, "database", nil)
	s.Write(t, mount+"/config/db", map[string]any{
		"plugin_name":    plugin,
		"allowed_roles":  "*",
		"connection_url": fmt.Sprintf("postgresql://{{username}}:{{password}}@127.0.0.1:%d/%s?sslmode=disable", server.Port, Database),
		"username":       server.Users.Admin.Name, "password": server.Users.Admin.Password,
	})
	s.Write(t, mount+"/roles/app", map[string]any{
		"db_name": "db", "default_ttl": role.TTL, "max_ttl": role.MaxTTL,
		"creation_statements": []string{`CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`},
	})
	return mount + "/creds/app"
}

// MariaRole is PostgresRole for MariaDB.
func (s *VaultServer) MariaRole(t testing.TB, server *MariaServer, role VaultRole) string {
	t.Helper()
	const plugin = "mysql-database-plugin"
	s.plugin(t, "database", plugin)
	mount := s.Engine(t, "database", nil)
	s.Write(t, mount+"/config/db", map[string]any{
		"plugin_name":    plugin,
		"allowed_roles":  "*",
		"connection_url": fmt.Sprintf("{{username}}:{{password}}@tcp(127.0.0.1:%d)/", server.Port),
		"username":       server.Users.Admin.Name, "password": server.Users.Admin.Password,
	})
	s.Write(t, mount+"/roles/app", map[string]any{
		"db_name": "db", "default_ttl": role.TTL, "max_ttl": role.MaxTTL,
		"creation_statements": []string{"CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'", "GRANT ALL ON " + Database + ".* TO '{{name}}'@'%'"},
	})
	return mount + "/creds/app"
}
