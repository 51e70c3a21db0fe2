package database_test

import (
	"strings"
	"testing"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/secret"
	"secretless/internal/target"
)

func set(pairs ...string) *secret.Set {
	values := map[string]secret.Value{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = secret.Copy(pairs[i+1])
	}
	return secret.NewSet(values)
}

func TestReadPlan(t *testing.T) {
	for name, c := range map[string]struct {
		creds   []string
		address string
		mode    target.Mode
		err     string
	}{
		"defaults":       {creds: []string{"host", "db"}, address: "db:3306", mode: target.Require},
		"all given":      {creds: []string{"host", "db", "port", "1", "sslmode", "verify-full"}, address: "db:1", mode: target.VerifyFull},
		"socket":         {creds: []string{"host", "/run/db.sock", "sslmode", "verify-full"}, address: "/run/db.sock", mode: target.Disable},
		"unknown mode":   {creds: []string{"host", "db", "sslmode", "yes"}, err: "verify-ca"},
		"no certificate": {creds: []string{"host", "db", "sslrootcert", "/etc/ca.pem"}, err: "sslrootcert"},
	} {
		t.Run(name, func(t *testing.T) {
			creds := set(c.creds...)
			defer creds.Wipe()
			address, err := database.ReadAddress(creds, 3306)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := database.ReadPlan(creds, address, database.Options{DefaultMode: target.Require})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v, want an error about %s", err, c.err)
				}
				return
			}
			if err != nil || plan.Address.String() != c.address || plan.Mode != c.mode || (plan.TLS == nil) != (c.mode == target.Disable) {
				t.Errorf("got %+v, %v", plan, err)
			}
		})
	}
}

func TestWithReplacesByName(t *testing.T) {
	got := database.With(database.Credentials(1), connector.Credential{Name: "port", Doc: "mine"}, connector.Credential{Name: "database"})
	names := map[string]string{}
	for _, c := range got {
		names[c.Name] = c.Doc
	}
	if len(got) != len(database.Credentials(1))+1 || names["port"] != "mine" || got[len(got)-1].Name != "database" {
		t.Errorf("got %v", names)
	}
}
