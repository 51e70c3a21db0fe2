package target

import (
	"testing"
)

func TestParseAddress(t *testing.T) {
	tests := map[string]struct {
		host, port string
		want       string
		network    string
		err        string
	}{
		"name":            {"db.internal", "", "db.internal:5432", "tcp", ""},
		"name and port":   {"db", "1", "db:1", "tcp", ""},
		"IPv4":            {"10.0.0.1", "65535", "10.0.0.1:65535", "tcp", ""},
		"IPv6":            {"2001:db8::1", "", "[2001:db8::1]:5432", "tcp", ""},
		"in brackets":     {"[2001:db8::1]", "", "[2001:db8::1]:5432", "tcp", ""},
		"zone":            {"fe80::1%eth0", "", "[fe80::1%eth0]:5432", "tcp", ""},
		"socket":          {"/run/db.sock", "", "/run/db.sock", "unix", ""},
		"empty":           {"", "", "", "", "host is empty"},
		"blank":           {"db internal", "", "", "", `host "db internal" is neither a name, an IP address nor an absolute socket path`},
		"newline":         {"db\n", "", "", "", `host "db\n" is neither a name, an IP address nor an absolute socket path`},
		"relative path":   {"run/db", "", "", "", `host "run/db" is neither a name, an IP address nor an absolute socket path`},
		"port in host":    {"db:5432", "", "", "", `host "db:5432" holds a colon but is no IPv6 address; a port goes into port`},
		"open bracket":    {"[::1", "", "", "", `host "[::1" is no IPv6 address in brackets`},
		"bracketed name":  {"[db]", "", "", "", `host "[db]" is no IPv6 address in brackets`},
		"bracketed colon": {"[a:b]", "", "", "", `host "a:b" holds a colon but is no IPv6 address; a port goes into port`},
		"port 0":          {"db", "0", "", "", `port "0" is no number from 1 to 65535`},
		"port too big":    {"db", "65536", "", "", `port "65536" is no number from 1 to 65535`},
		"port name":       {"db", "postgresql", "", "", `port "postgresql" is no number from 1 to 65535`},
		"port sign":       {"db", "+1", "", "", `port "+1" is no number from 1 to 65535`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseAddress(test.host, test.port, 5432)
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("got %v\nwant %s", err, test.err)
				}
				return
			}
			if err != nil || got.String() != test.want || got.Network() != test.network {
				t.Errorf("got %s %s, %v", got.Network(), got, err)
			}
		})
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("[::1]", "5432")
	f.Add("db:1", "")
	f.Add("/run/x", "0")
	f.Fuzz(func(t *testing.T, host, port string) {
		a, err := ParseAddress(host, port, 5432)
		if err != nil {
			return
		}
		if a.Host == "" || a.Port < 1 || a.Port > 65535 {
			t.Fatalf("%q %q: %+v", host, port, a)
		}
		if again, err := ParseAddress(a.Host, "", a.Port); err != nil || again != a {
			t.Fatalf("%q is not stable: %+v, %v", host, again, err)
		}
	})
}

func TestParseMode(t *testing.T) {
	for _, name := range Modes() {
		if m, err := ParseMode(name, Disable); err != nil || m.String() != name {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
	if m, err := ParseMode("", Require); err != nil || m != Require {
		t.Errorf("%v, %v", m, err)
	}
	_, err := ParseMode("Require", Disable)
	want := `sslmode "Require" is unknown; use one of disable, prefer, require, verify-ca, verify-full`
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if s := Mode(9).String(); s != "mode(9)" {
		t.Error(s)
	}
}
