package localca

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// other is an authority that somebody else runs.
func other(t *testing.T) *x509.Certificate {
	t.Helper()
	_, dir, _ := newAuthority(t, "elsewhere.example")
	m, err := read(Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	template, err := plan("elsewhere.example").template(m.key)
	if err != nil {
		t.Fatal(err)
	}
	template.Subject.Organization = []string{"Somebody else"}
	cert, err := sign(template, template, &m.key.PublicKey, m.key)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestTrustFiles(t *testing.T) {
	a, _, _ := newAuthority(t, "api.example.com")
	stale, _, _ := newAuthority(t, "api.example.com")
	trust, _ := a.Trust()
	gone, _ := stale.Trust()
	system := other(t)
	roots := []*x509.Certificate{system, gone[0], system, trust[0]}

	dir := t.TempDir()
	if changed, err := WriteTrust(dir, trust, roots); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if changed, err := WriteTrust(dir, trust, roots); err != nil || changed {
		t.Errorf("written again: %v, %v", changed, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, CAFile))
	if err != nil || !bytes.Equal(text, EncodePEM(trust)) {
		t.Errorf("%s: %v", text, err)
	}
	bundle, err := SystemRoots(filepath.Join(dir, BundleFile))
	if err != nil || len(bundle) != 2 || !bundle[0].Equal(trust[0]) || !bundle[1].Equal(system) {
		t.Errorf("%d certificates: %v", len(bundle), err)
	}
	store, err := os.ReadFile(filepath.Join(dir, StoreFile))
	if err != nil {
		t.Fatal(err)
	}
	certs, err := pkcs12.DecodeTrustStore(store, StorePassword)
	if err != nil || len(certs) != 2 {
		t.Errorf("%d certificates: %v", len(certs), err)
	}
	for _, name := range []string{CAFile, BundleFile, StoreFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm()&0o444 != 0o444 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		if text, _ := os.ReadFile(filepath.Join(dir, name)); bytes.Contains(text, []byte("PRIVATE")) {
			t.Errorf("%s holds a private key", name)
		}
	}
	// A rotation changes them.
	if changed, err := WriteTrust(dir, gone, roots); err != nil || !changed {
		t.Errorf("%v, %v", changed, err)
	}
}

func TestSystemRoots(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none.pem"): "no such file", empty: "holds no certificates", "/dev/zero": "larger than 16 MiB",
	} {
		if path == "/dev/zero" {
			if _, err := os.Stat(path); err != nil {
				continue
			}
		}
		if _, err := SystemRoots(path); err == nil || !strings.Contains(err.Error(), want) && want != "no such file" {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestScopes(t *testing.T) {
	for _, c := range []struct {
		hosts []string
		host  string
		want  bool
	}{
		{[]string{"example.com"}, "EXAMPLE.com.", true},
		{[]string{"example.com"}, "www.example.com", true}, // as RFC 5280 reads it
		{[]string{"www.example.com"}, "example.com", false},
		{[]string{"*.example.com"}, "*.example.com", true},
		{[]string{"a.example.com"}, "*.example.com", false},
		{[]string{"example.com"}, "notexample.com", false},
		{[]string{"127.0.0.1"}, "::ffff:127.0.0.1", true},
		{[]string{"127.0.0.1"}, "127.0.0.2", false},
		{[]string{"127.0.0.1"}, "1.127.0.0.1", false},
		{[]string{"2001:db8::1"}, "[2001:0db8::1]", true},
		{nil, "example.com", false},
	} {
		if got := NewScope(c.hosts).Covers(c.host); got != c.want {
			t.Errorf("%v covers %s: %v", c.hosts, c.host, got)
		}
		// And so does what the certificate says.
		_, dir, _ := newAuthority(t, c.hosts...)
		m, err := read(Path(dir))
		if err != nil {
			t.Fatal(err)
		}
		if got := scopeOf(m.cert).Covers(c.host); got != c.want {
			t.Errorf("a certificate of %v covers %s: %v", c.hosts, c.host, got)
		}
	}
	if !NewScope([]string{"b.example", "A.example", "b.example."}).Equal(NewScope([]string{"a.example", "b.example"})) {
		t.Error("one scope in two forms")
	}
}

func TestLifetime(t *testing.T) {
	p := plan("api.example.com")
	p.Lifetime = 10 * time.Hour
	dir := t.TempDir()
	if err := Create(dir, p); err != nil {
		t.Fatal(err)
	}
	a, err := open(dir, (&clock{start}).now)
	if err != nil {
		t.Fatal(err)
	}
	if c := mustCertificate(t, a, "api.example.com"); c.Leaf.NotAfter.After(start.Add(p.Lifetime)) {
		t.Errorf("lives until %v, longer than its authority", c.Leaf.NotAfter)
	}
}
