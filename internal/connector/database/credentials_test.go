package database_test

import (
	"slices"
	"strings"
	"testing"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/testenv"
)

// What the file says is looked at when it is loaded, not when a client comes.
func TestLiteralsAreChecked(t *testing.T) {
	pair := testenv.CA(t).Client(t, "app")
	for _, c := range []struct{ name, literal, err string }{
		{"host", "db.internal", ""},
		{"host", "[::1]", ""},
		{"host", "fe80::1%eth0", ""},
		{"host", "/run/db.sock", ""},
		{"host", "", "host is empty"},
		{"host", "db:5432", "a port goes into port"},
		{"host", "https://db", "neither a name"},
		{"host", " db", "neither a name"},
		{"port", "", ""},
		{"port", "5432", ""},
		{"port", "65536", "no number from 1 to 65535"},
		{"sslmode", "verify", "verify-ca"},
		{"sslrootcert", pair.CertPEM, ""},
		{"sslrootcert", "/etc/ca.pem", "not the path of a file"},
		{"sslcert", "", ""},
		{"sslcert", pair.CertPEM, ""},
		{"sslcert", pair.KeyPEM + pair.CertPEM, ""},
		{"sslcert", pair.KeyPEM, "no PEM certificate"},
		{"sslcert", "/etc/client.pem", "not the path of a file"},
		{"sslkey", pair.KeyPEM, ""},
		{"sslkey", "/etc/client.key", "not the path of a file"},
	} {
		err := check(t, c.name)(c.literal)
		if got := c.err != ""; (err != nil) != got || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s %.20q: %v, want %q", c.name, c.literal, err, c.err)
		}
		if err != nil && c.name == "sslkey" && strings.Contains(err.Error(), c.literal) {
			t.Errorf("the error repeats a key: %v", err)
		}
	}
	if database.CheckUsername("app") != nil || database.CheckUsername("") == nil {
		t.Error("user names")
	}
}

func check(t *testing.T, name string) func(string) error {
	t.Helper()
	all := database.Credentials(5432)
	i := slices.IndexFunc(all, func(c connector.Credential) bool { return c.Name == name })
	if i < 0 || all[i].Check == nil {
		t.Fatalf("%s has no check", name)
	}
	return all[i].Check
}
