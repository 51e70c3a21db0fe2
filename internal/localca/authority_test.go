package localca

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a time that tests set.
type clock struct{ t time.Time }

func (c *clock) now() time.Time          { return c.t }
func (c *clock) advance(d time.Duration) { c.t = c.t.Add(d) }

func plan(hosts ...string) Plan {
	return Plan{Scope: NewScope(hosts), Lifetime: DefaultLifetime, Now: start}
}

func newAuthority(t *testing.T, hosts ...string) (*Authority, string, *clock) {
	t.Helper()
	dir := t.TempDir()
	if err := Create(dir, plan(hosts...)); err != nil {
		t.Fatal(err)
	}
	c := &clock{start}
	a, err := open(dir, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return a, dir, c
}

func pool(certs ...*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}

// accepts verifies what a server would present as clients do.
func accepts(c *tls.Certificate, host string, roots *x509.CertPool, now time.Time) error {
	intermediates := x509.NewCertPool()
	for _, der := range c.Certificate[1:] {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		intermediates.AddCert(cert)
	}
	_, err := c.Leaf.Verify(x509.VerifyOptions{
		DNSName: host, Roots: roots, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err
}

func TestCertificates(t *testing.T) {
	a, _, _ := newAuthority(t, "api.example.com", "*.example.net", "10.1.2.3", "2001:db8::1", "xn--bcher-kva.example")
	trust, err := a.Trust()
	if err != nil {
		t.Fatal(err)
	}
	for host, name := range map[string]string{
		"api.example.com":       "api.example.com",
		"API.Example.COM.":      "api.example.com",
		"a.b.example.net":       "a.b.example.net",
		"10.1.2.3":              "10.1.2.3",
		"[2001:DB8::1]":         "[2001:db8::1]",
		"xn--bcher-kva.example": "xn--bcher-kva.example",
	} {
		c, err := a.Certificate(host)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		if err := accepts(c, name, pool(trust...), start); err != nil {
			t.Errorf("%s: %v", host, err)
		}
		leaf := c.Leaf
		if leaf.NotAfter.Sub(start) > leafLifetime || start.Sub(leaf.NotBefore) < margin || leaf.Subject.String() != "" || leaf.IsCA ||
			len(leaf.DNSNames)+len(leaf.IPAddresses) != 1 {
			t.Errorf("%s: %v to %v, subject %q, CA %v, names %v %v", host, leaf.NotBefore, leaf.NotAfter, leaf.Subject, leaf.IsCA, leaf.DNSNames, leaf.IPAddresses)
		}
	}
}

func TestNoCertificate(t *testing.T) {
	a, _, c := newAuthority(t, "api.example.com", "*.example.net")
	for _, host := range []string{
		"example.com", "other.example.com", "api.example.com.evil.test", "evilexample.net", "10.1.2.3", "::1", "localhost",
	} {
		_, err := a.Certificate(host)
		scope, ok := errors.AsType[*ScopeError](err)
		if !ok || !strings.Contains(scope.Error(), "secretless ca rotate") {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{
		"", ".", "*.example.net", "a..example.net", "-a.example.net", "a b.example.net", "a/b.example.net", "a\x00.example.net",
		"a\n.example.net", "a,DNS:b.example.net", "ä.example.net", strings.Repeat("a.", 125) + "example.net", strings.Repeat("a", 64) + ".example.net",
	} {
		if _, err := a.Certificate(host); !errors.Is(err, errHost) {
			t.Errorf("%q: %v", host, err)
		}
	}
	c.advance(DefaultLifetime)
	if _, err := a.Certificate("api.example.com"); err == nil || !strings.Contains(err.Error(), "expired on 2027-03-01") {
		t.Errorf("after the end: %v", err)
	}
}

// The restriction is in the certificate: clients enforce it against whoever
// has the key.
func TestStolenKeyIsWorthItsHostsOnly(t *testing.T) {
	for name, c := range map[string]struct {
		hosts []string
		good  []string
		bad   []string
	}{
		"names":     {[]string{"api.example.com", "*.example.net"}, []string{"api.example.com", "x.example.net"}, []string{"example.com", "evil.test", "10.1.2.3", "::1"}},
		"addresses": {[]string{"10.1.2.3"}, []string{"10.1.2.3"}, []string{"10.1.2.4", "::1", "evil.test"}},
		"IPv6":      {[]string{"2001:db8::1"}, []string{"2001:db8::1"}, []string{"2001:db8::2", "10.1.2.3", "evil.test"}},
	} {
		t.Run(name, func(t *testing.T) {
			a, _, _ := newAuthority(t, c.hosts...)
			trust, _ := a.Trust()
			is, err := a.current()
			if err != nil {
				t.Fatal(err)
			}
			for i, host := range append(c.good, c.bad...) {
				leaf, err := is.make(host, start) // as a thief would, asking nobody
				if err != nil {
					t.Fatal(err)
				}
				err = accepts(leaf, bracketed(host), pool(trust...), start)
				if good := i < len(c.good); (err == nil) != good {
					t.Errorf("%s: %v", host, err)
				}
			}
		})
	}
}

func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

func TestEverything(t *testing.T) {
	dir := t.TempDir()
	if err := Create(dir, Plan{Scope: Scope{Everything: true}, Lifetime: DefaultLifetime, Now: start}); err != nil {
		t.Fatal(err)
	}
	a, err := open(dir, (&clock{start}).now)
	if err != nil {
		t.Fatal(err)
	}
	trust, _ := a.Trust()
	for _, host := range []string{"anything.example", "10.1.2.3"} {
		c, err := a.Certificate(host)
		if err != nil {
			t.Fatal(err)
		}
		if err := accepts(c, host, pool(trust...), start); err != nil {
			t.Error(err)
		}
	}
}

func TestCheck(t *testing.T) {
	a, _, c := newAuthority(t, "api.example.com", "*.example.net")
	if soon, err := a.Check([]string{"api.example.com", "*.example.net", "b.example.net"}); err != nil || !soon.IsZero() {
		t.Errorf("%v, %v", soon, err)
	}
	_, err := a.Check([]string{"api.example.com", "new.example", "*.com"})
	if err == nil || !strings.Contains(err.Error(), "not made for new.example") || !strings.Contains(err.Error(), "not made for *.com") {
		t.Errorf("%v", err)
	}
	c.advance(DefaultLifetime - 24*time.Hour)
	if soon, err := a.Check(nil); err != nil || !soon.Equal(start.Add(DefaultLifetime)) {
		t.Errorf("%v, %v", soon, err)
	}
	c.advance(48 * time.Hour)
	if _, err := a.Check(nil); err == nil {
		t.Error("an expired authority is fine")
	}
}

func TestCertificatesAreKept(t *testing.T) {
	a, _, c := newAuthority(t, "*.example.net")
	first := mustCertificate(t, a, "a.example.net")
	c.advance(leafLifetime - renewBefore - time.Minute)
	if mustCertificate(t, a, "a.example.net") != first {
		t.Error("made anew while it is good")
	}
	c.advance(2 * time.Minute)
	next := mustCertificate(t, a, "a.example.net")
	if next == first || next.Leaf.NotAfter.Sub(c.t) != leafLifetime {
		t.Errorf("not made anew: until %v", next.Leaf.NotAfter)
	}
	for i := range maxMade + 10 {
		mustCertificate(t, a, fmt.Sprintf("h%d.example.net", i))
	}
	is, _ := a.current()
	if n := len(is.made.byHost); n != maxMade || is.made.recent.Len() != maxMade {
		t.Errorf("%d kept", n)
	}
	if mustCertificate(t, a, "a.example.net") == next {
		t.Error("the oldest was kept")
	}
}

func mustCertificate(t *testing.T, a *Authority, host string) *tls.Certificate {
	t.Helper()
	c, err := a.Certificate(host)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOneCertificateForManyWhoAsk(t *testing.T) {
	a, _, _ := newAuthority(t, "*.example.net")
	var all sync.WaitGroup
	got := make([]*tls.Certificate, 32)
	for i := range got {
		all.Go(func() { got[i], _ = a.Certificate("a.example.net") })
	}
	all.Wait()
	for _, c := range got {
		if c == nil || c != got[0] {
			t.Fatal("made more than once")
		}
	}
}

// A certificate that could not be made is tried again by the next who asks.
func TestFailureIsNotKept(t *testing.T) {
	var c cache
	if _, err := c.get("a", start, func() (*tls.Certificate, error) { return nil, errHost }); !errors.Is(err, errHost) {
		t.Fatal(err)
	}
	want := &tls.Certificate{}
	if got, err := c.get("a", start, func() (*tls.Certificate, error) { return want, nil }); got != want || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

func TestRotation(t *testing.T) {
	a, dir, c := newAuthority(t, "api.example.com")
	old, _ := a.Trust()
	before := mustCertificate(t, a, "api.example.com")
	p := plan("api.example.com", "new.example")
	c.advance(200 * 24 * time.Hour)
	p.Now = c.t
	if broken, err := Rotate(dir, p); broken != nil || err != nil {
		t.Fatal(broken, err)
	}
	after := mustCertificate(t, a, "api.example.com")
	if after == before {
		t.Fatal("the rotation was not noticed")
	}
	trust, _ := a.Trust()
	if len(trust) != 2 || !trust[1].Equal(old[0]) {
		t.Fatalf("%d certificates to trust", len(trust))
	}
	for who, roots := range map[string]*x509.CertPool{"old": pool(old...), "new": pool(trust[0]), "both": pool(trust...)} {
		if err := accepts(after, "api.example.com", roots, c.t); err != nil {
			t.Errorf("a client that trusts the %s authority: %v", who, err)
		}
	}
	added := mustCertificate(t, a, "new.example")
	if err := accepts(added, "new.example", pool(trust[0]), c.t); err != nil {
		t.Error(err)
	}
	if err := accepts(added, "new.example", pool(old...), c.t); err == nil {
		t.Error("the old authority vouches for a host that it was not made for")
	}
	c.advance(DefaultLifetime - 200*24*time.Hour) // the old one ends
	if trust, _ := a.Trust(); len(trust) != 1 {
		t.Errorf("%d certificates to trust after the end of the old one", len(trust))
	}
	if last := mustCertificate(t, a, "api.example.com"); len(last.Certificate) != 1 || accepts(last, "api.example.com", pool(trust[0]), c.t) != nil {
		t.Error("the chain still has the old authority")
	}
}

func TestSecondRotation(t *testing.T) {
	a, dir, c := newAuthority(t, "api.example.com")
	for range 2 {
		c.advance(time.Hour)
		p := plan("api.example.com")
		p.Now = c.t
		if _, err := Rotate(dir, p); err != nil {
			t.Fatal(err)
		}
	}
	trust, _ := a.Trust()
	for _, root := range trust {
		if err := accepts(mustCertificate(t, a, "api.example.com"), "api.example.com", pool(root), c.t); err != nil {
			t.Error(err)
		}
	}
}

func TestFiles(t *testing.T) {
	_, dir, _ := newAuthority(t, "api.example.com")
	if err := Create(dir, plan("api.example.com")); !errors.Is(err, ErrExists) {
		t.Errorf("a second authority: %v", err)
	}
	if info, err := os.Stat(Path(dir)); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrNone) {
		t.Errorf("none: %v", err)
	}
	if _, err := Rotate(t.TempDir(), plan("x")); err == nil || !strings.Contains(err.Error(), "ca init") {
		t.Errorf("rotate none: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestBrokenFiles(t *testing.T) {
	_, dir, _ := newAuthority(t, "api.example.com")
	whole, err := os.ReadFile(Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	end := strings.Index(string(whole), "-----BEGIN CERTIFICATE")
	for name, text := range map[string]string{
		"empty": "", "no key": string(whole[end:]), "no certificate": string(whole[:end]), "rubbish": "rubbish",
		"half": string(whole[:len(whole)/2]), "bad key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" + string(whole[end:]),
		"bad certificate": string(whole[:end]) + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	} {
		if err := os.WriteFile(Path(dir), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "ca init") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadableKeyIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o644, 0o620} {
		a, dir, c := newAuthority(t, "api.example.com")
		old, _ := a.Trust()
		if err := os.Chmod(Path(dir), mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "can be read by others") {
			t.Errorf("%#o: %v", mode, err)
		}
		// What signs with a key that others may have is worth nothing.
		broken, err := Rotate(dir, plan("api.example.com"))
		if broken == nil || err != nil {
			t.Errorf("%#o: %v, %v", mode, broken, err)
		}
		c.advance(time.Minute)
		trust, _ := a.Trust()
		if len(trust) != 1 || trust[0].Equal(old[0]) {
			t.Errorf("%#o: the exposed authority is still trusted", mode)
		}
	}
}

// A broker that works goes on when the file is lost or spoilt.
func TestLostFile(t *testing.T) {
	a, dir, c := newAuthority(t, "api.example.com")
	if err := os.Remove(Path(dir)); err != nil {
		t.Fatal(err)
	}
	c.advance(time.Minute)
	mustCertificate(t, a, "api.example.com")
	if err := os.WriteFile(Path(dir), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.advance(time.Minute)
	mustCertificate(t, a, "api.example.com")
}

func FuzzParse(f *testing.F) {
	dir := f.TempDir()
	if err := Create(dir, plan("api.example.com")); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(Path(dir))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parse(data)
		if err == nil && (m.key == nil || m.cert == nil) {
			t.Error("incomplete and no error")
		}
	})
}
