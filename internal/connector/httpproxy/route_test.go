package httpproxy

import (
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"testing"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/wire/http1wire"
)

func testService(t testing.TB, c auth.Config) *service {
	t.Helper()
	s, err := newService(c, connector.Setup{Service: "s"}, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func asking(t testing.TB, text string) (asked, bool) {
	t.Helper()
	u, err := url.ParseRequestURI(text)
	if err != nil || u.Host == "" {
		return asked{}, false
	}
	o, err := origin.Parse(u.Scheme, u.Host)
	if err != nil {
		return asked{}, false
	}
	return ask(o, &message.Request{Method: http.MethodGet, URL: *u}), true
}

func TestHostPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, url string
		want         bool
	}{
		{"api.example.com", "https://api.example.com/", true},
		{"api.example.com", "http://API.example.com.:80/", true},
		{"api.example.com", "https://api.example.com:80/", false},
		{"api.example.com", "https://api.example.com:8443/", false},
		{"API.Example.com.:8443", "https://api.example.com:8443/", true},
		{"api.example.com:443", "http://api.example.com/", false},
		{"api.example.com", "https://xapi.example.com/", false},
		{"api.example.com", "https://api.example.com.evil.test/", false},
		{"*.example.com", "https://a.b.example.com/", true},
		{"*.example.com", "https://example.com/", false},
		{"*.example.com", "https://evilexample.com/", false},
		{"[2001:db8::1]", "https://[2001:0db8::0001]/", true},
		{"bücher.example", "https://xn--bcher-kva.example/", true},
	} {
		a, ok := asking(t, c.url)
		if !ok {
			t.Fatal(c.url)
		}
		s := testService(t, auth.Config{Hosts: []string{c.pattern}})
		if got := s.match(&a).kind != 0; got != c.want || s.covers(a.origin) != c.want {
			t.Errorf("%s %s: %v", c.pattern, c.url, got)
		}
	}
}

// Paths that a target could read as another one match no path.
func TestAmbiguousPaths(t *testing.T) {
	s := testService(t, auth.Config{Hosts: []string{"a.example"}, Paths: []string{"/v1"}})
	for _, p := range []string{
		"/v1/../x", "/v1/%2e%2e/x", "/v1/%2E./x", "/v1/..%2fx", "/v1/..%5cx", "/v1/..;a=b/x", "/v1/%252e%252e/x", "/v1/./x",
		"/v1/x/..", "//v1/x", "/V1/x", "/v1x", "/",
	} {
		a, ok := asking(t, "http://a.example"+p)
		if !ok {
			t.Fatal(p)
		}
		if s.match(&a).kind != 0 {
			t.Errorf("%s matches", p)
		}
	}
	for _, p := range []string{"/v1", "/v1/", "/v1/x", "/%76%31/x", "/v1/a%2fb", "/v1/..a", "/v1/a..", "/v1/.well-known"} {
		a, _ := asking(t, "http://a.example"+p)
		if s.match(&a).kind == 0 {
			t.Errorf("%s does not match", p)
		}
	}
}

// What is encoded many times over means nothing, and decoding it layer by layer
// is work for a client to give.
func TestManyLayersOfEncoding(t *testing.T) {
	for layers, want := range map[int]bool{1: true, 2: true, 20_000: false} {
		if _, ok := cleanSegments("/v1/%" + strings.Repeat("25", layers)); ok != want {
			t.Errorf("%d layers: %v", layers, ok)
		}
	}
}

// A head that is one long list costs no more than its length.
func TestLongConnectionLists(t *testing.T) {
	f := http1wire.Fields{{Name: "Connection", Value: strings.Repeat("a,", 80_000) + " x_mine ,\tLAST"}}
	for range 3000 {
		f = append(f, http1wire.Field{Name: "X", Value: "1"})
	}
	f = append(f, http1wire.Field{Name: "X-Mine"}, http1wire.Field{Name: "X_mine"}, http1wire.Field{Name: "Last"}, http1wire.Field{Name: "A"})
	if removeHopByHop(&f); len(f) != 3000 || f[2999].Name != "X" {
		t.Errorf("%d left, the last %v", len(f), f[len(f)-1])
	}
}

func TestGuard(t *testing.T) {
	g := &guard{named: []netip.Addr{netip.MustParseAddr("169.254.169.254")}}
	strict := &guard{noLoopback: true}
	for _, c := range []struct {
		g     *guard
		addr  string
		local bool
		ok    bool
	}{
		{g, "169.254.169.254", false, true},
		{g, "::ffff:169.254.169.254", false, true},
		{g, "169.254.169.253", false, false},
		{strict, "169.254.169.254", false, false},
		{strict, "::ffff:169.254.169.254", false, false},
		{strict, "64:ff9b::169.254.169.254", false, false},
		{strict, "fe80::1", false, false},
		{strict, "fe80::1%lo", false, false},
		{strict, "fd00:ec2::254", false, false},
		{strict, "100.100.100.200", false, false},
		{strict, "0.0.0.0", false, false},
		{strict, "::", false, false},
		{strict, "255.255.255.255", false, false},
		{strict, "ff02::1", false, false},
		{strict, "127.0.0.1", false, false},
		{strict, "::1", false, false},
		{strict, "10.0.0.1", false, true},
		{g, "127.0.0.1", true, true},
		{g, "10.0.0.1", true, false},
		{g, "203.0.113.1", false, true},
	} {
		if err := c.g.check(netip.MustParseAddr(c.addr), c.local); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.addr, err)
		}
	}
}

// What matches a host and a path is that host, and below that path however a
// target cleans it.
func FuzzMatch(f *testing.F) {
	for _, s := range []string{"http://a.example/v1/x", "http://a.example/v1/..%2fx", "http://a.example:80/v1/%2e%2e/", "http://a.example@b.test/v1", "http://b.test/v1?http://a.example/v1"} {
		f.Add(s)
	}
	s := testService(f, auth.Config{Hosts: []string{"a.example"}, Paths: []string{"/v1"}})
	e := testService(f, auth.Config{AuthenticateURLsMatching: []string{`https?://a\.example(:\d+)?/v1/`}})
	f.Fuzz(func(t *testing.T, text string) {
		a, ok := asking(t, text)
		if !ok {
			return
		}
		byHost, byExpression := s.match(&a).kind != 0, e.match(&a).kind != 0
		if !byHost && !byExpression {
			return
		}
		if a.origin.Host() != "a.example" {
			t.Fatalf("%q matches, and goes to %v", text, a.origin)
		}
		p := a.url.EscapedPath()
		for range 2 { // as a target that decodes once, and one that does twice
			decoded, err := url.PathUnescape(p)
			if err != nil {
				break
			}
			p = decoded
			if clean := path.Clean(strings.ReplaceAll(p, `\`, "/")); clean != "/v1" && !strings.HasPrefix(clean, "/v1/") {
				t.Fatalf("%q matches, and can be read as %q", text, clean)
			}
		}
	})
}

func FuzzExpression(f *testing.F) {
	for _, s := range []string{`https://a\.example/`, `.*`, `^(a|b)+[^/]*\.x`, `(?i)HTTP`, `(((x?){9}){9}){9}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseExpression(text)
		if err != nil || len(text) > 200 {
			return
		}
		_ = e.stranger()
		o, _ := origin.Parse("https", "a.example")
		if e.re.MatchString("https://a.example/") && !e.mayMatch(o) {
			t.Fatalf("%q matches a request in a tunnel that would not be opened", text)
		}
	})
}
