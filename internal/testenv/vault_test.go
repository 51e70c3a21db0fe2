package testenv_test

import (
	"testing"

	"secretless/internal/testenv"
)

// What is stored outlives a restart and a kill, and a sealed server says so.
func TestVault(t *testing.T) {
	s := testenv.NewVault(t)
	kv := s.KV(t, 1)
	s.Write(t, kv+"/db", map[string]any{"value": "x"})
	restart := map[string]func(){
		"stopped": s.Stop,
		"killed":  s.Kill,
		"running": func() {},
	}
	for name, end := range restart {
		end()
		s.Restart(t)
		if got := s.Read(t, kv+"/db")["value"]; got != "x" {
			t.Errorf("%s and restarted: got %v", name, got)
		}
	}
	s.Seal(t)
	if _, err := s.Call("GET", kv+"/db", s.Root, nil); err == nil {
		t.Error("sealed, but it answers")
	}
	s.Unseal(t)
	s.Read(t, kv+"/db")
}

// Accounts of databases, by the real plugins.
func TestVaultDatabases(t *testing.T) {
	s := testenv.Vault(t)
	for name, path := range map[string]string{
		"PostgreSQL": s.PostgresRole(t, testenv.Postgres(t, testenv.PG{AnyRole: true}), testenv.VaultRole{TTL: "1h", MaxTTL: "2h"}),
		"MariaDB":    s.MariaRole(t, testenv.MariaDB(t, testenv.Maria{}), testenv.VaultRole{TTL: "1h", MaxTTL: "2h"}),
	} {
		if got := s.Read(t, path); got["username"] == "" || got["password"] == "" {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
