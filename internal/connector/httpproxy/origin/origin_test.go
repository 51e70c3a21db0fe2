package origin

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ scheme, authority, want string }{
		{"http", "api.example.com", "http://api.example.com"},
		{"HTTP", "API.Example.COM", "http://api.example.com"},
		{"http", "api.example.com.", "http://api.example.com"},
		{"http", "api.example.com:80", "http://api.example.com"},
		{"http", "api.example.com:", "http://api.example.com"},
		{"https", "api.example.com:443", "https://api.example.com"},
		{"https", "api.example.com:80", "https://api.example.com:80"},
		{"http", "my_host:8080", "http://my_host:8080"},
		{"http", "bücher.example", "http://xn--bcher-kva.example"},
		{"http", "XN--BCHER-KVA.example", "http://xn--bcher-kva.example"},
		{"http", "ｅｘａｍｐｌｅ。com", "http://example.com"},
		{"http", "127.0.0.1:8000", "http://127.0.0.1:8000"},
		{"http", "[::1]:8000", "http://[::1]:8000"},
		{"https", "[2001:DB8:0::1]", "https://[2001:db8::1]"},
		{"http", "[::ffff:10.0.0.1]", "http://10.0.0.1"},
		{"http", "1password.com", "http://1password.com"},
		{"http", "0xcafe.example", "http://0xcafe.example"},
	} {
		o, err := Parse(c.scheme, c.authority)
		if err != nil || o.String() != c.want {
			t.Errorf("%s %s: %v, %v, want %s", c.scheme, c.authority, o, err, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for authority, reason := range map[string]string{
		"":                                   "empty",
		".":                                  "empty",
		":80":                                "empty",
		"user@api.example.com":               "user information",
		"user:pass@api.example.com":          "user information",
		"api.example.com@evil.test":          "user information",
		"api.example.com#@evil.test":         "user information",
		"api.example.com..":                  "empty label",
		"api..example.com":                   "empty label",
		".api.example.com":                   "empty label",
		"api.example.com:0":                  "port",
		"api.example.com:080":                "port",
		"api.example.com:65536":              "port",
		"api.example.com:+80":                "port",
		"api.example.com: 80":                "port",
		"api.example.com:80:80":              "brackets",
		"::1":                                "brackets",
		"[::1":                               "not closed",
		"[::1]x":                             "only :port",
		"[::1%25eth0]":                       "zone",
		"[fe80::1%eth0]":                     "zone",
		"[127.0.0.1]":                        "no IPv6",
		"[api.example.com]":                  "no IPv6",
		"0x7f.1":                             "IPv4",
		"0x7f000001":                         "IPv4",
		"0x":                                 "IPv4",
		"127.1":                              "IPv4",
		"2130706433":                         "IPv4",
		"017700000001":                       "IPv4",
		"0177.0.0.1":                         "IPv4",
		"127.0.0.01":                         "IPv4",
		"127.0.0.1.1":                        "IPv4",
		"256.0.0.1":                          "IPv4",
		"127.0.0.0x1":                        "IPv4",
		"１２７.0.0.1":                          "ASCII digits",
		"api.example.com%2eevil.test":        "letters",
		"api.example.com\\.evil.test":        "letters",
		"api.example.com/.evil.test":         "letters",
		"api.example.com?.evil.test":         "letters",
		"api.example.com\x00":                "letters",
		"api example.com":                    "letters",
		"api.example.com\r\nx: y":            "letters",
		"xn--a.example":                      "internationalised",
		strings.Repeat("é", 2000) + ".xn--a": "too long",
		"-api.example.com":                   "hyphen",
		"api-.example.com":                   "hyphen",
		strings.Repeat("a", 64) + ".x":       "label of the name is too long",
		strings.Repeat("a.", 126) + "a":      "",
		strings.Repeat("a.", 127) + "a":      "name is too long",
	} {
		o, err := Parse("http", authority)
		switch {
		case reason == "":
			if err != nil {
				t.Errorf("%.20q: %v", authority, err)
			}
		case err == nil:
			t.Errorf("%q became %v", authority, o)
		case !strings.Contains(err.Error(), reason):
			t.Errorf("%q: %v, want something about %q", authority, err, reason)
		}
	}
	for _, scheme := range []string{"", "ftp", "file", "ws", "httpx", "http:"} {
		if o, err := Parse(scheme, "api.example.com"); err == nil {
			t.Errorf("scheme %q became %v", scheme, o)
		}
	}
}

func TestOriginParts(t *testing.T) {
	o, err := Parse("http", "[::1]")
	if err != nil {
		t.Fatal(err)
	}
	if ip, ok := o.IP(); !ok || ip != netip.IPv6Loopback() || o.Address() != "[::1]:80" || o.Authority() != "[::1]" {
		t.Errorf("got %v %v %v", ip, o.Address(), o.Authority())
	}
	if s := o.WithScheme("https"); s.Address() != "[::1]:443" || !s.Secure() {
		t.Errorf("got %v", s)
	}
	o, _ = Parse("http", "a.example:8080")
	if s := o.WithScheme("https"); s.Address() != "a.example:8080" || o.IsZero() || !(Origin{}).IsZero() {
		t.Errorf("got %v", s)
	}
}

// Whatever is accepted has one spelling, and its spelling is accepted.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"api.example.com:80", "[::1]:1", "127.0.0.1", "bücher.example", "0x7f.1", "a@b", "xn--a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, authority string) {
		o, err := Parse("http", authority)
		if err != nil {
			return
		}
		again, err := Parse("http", o.Authority())
		if err != nil || again != o {
			t.Fatalf("%q became %v, and that %v, %v", authority, o, again, err)
		}
		if strings.ContainsAny(o.Host(), "@/\\?#% \t\r\n") || o.Host() != strings.ToLower(o.Host()) || strings.HasSuffix(o.Host(), ".") {
			t.Fatalf("%q became %q", authority, o.Host())
		}
	})
}
