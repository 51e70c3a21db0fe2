package file_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"secretless/internal/provider"
	"secretless/internal/provider/file"
	"secretless/internal/provider/providertest"
)

// credentials is an instance with dir as $CREDENTIALS_DIRECTORY.
func credentials(t *testing.T, s provider.Setup, dir string) provider.Provider {
	t.Helper()
	s.Decode = func(any) error { return nil }
	s.LookupEnv = func(name string) (string, bool) { return dir, name == "CREDENTIALS_DIRECTORY" && dir != "" }
	p, err := file.Systemd().Build(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSystemdConformance(t *testing.T) {
	providertest.Run(t, providertest.Config{
		New: func(t *testing.T, s provider.Setup, values map[string][]byte) providertest.Source {
			dir, refs := t.TempDir(), map[string]string{}
			for name, v := range values {
				write(t, filepath.Join(dir, name), v)
				refs[name] = name
			}
			return providertest.Source{Provider: credentials(t, s, dir), Refs: refs, Missing: "missing"}
		},
	})
}

func TestCredentialNames(t *testing.T) {
	check := file.Systemd().CheckRef
	for name, good := range map[string]bool{
		"db-password": true, "a.b@c": true, "..data": true,
		"": false, ".": false, "..": false, "../x": false, "/etc/passwd": false, `a\b`: false, "C:x": false,
		"a\x00b": false, strings.Repeat("x", 255): true, strings.Repeat("x", 256): false,
	} {
		if err := check(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestNoCredentials(t *testing.T) {
	for _, dir := range []string{"", "relative"} {
		_, err := credentials(t, provider.Setup{Name: "systemd"}, dir).Fetch(t.Context(), []string{"db-password"})
		if !errors.Is(err, file.ErrNoCredentials) || !strings.Contains(err.Error(), "provider systemd: db-password: ") {
			t.Errorf("%q: got %v", dir, err)
		}
	}
}
