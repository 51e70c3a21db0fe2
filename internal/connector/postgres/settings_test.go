package postgres

import (
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"secretless/internal/connector"
	"secretless/internal/secret"
	"secretless/internal/target"
)

func setOf(values map[string]string) *secret.Set {
	out := map[string]secret.Value{}
	for name, text := range values {
		out[name] = secret.Copy(text)
	}
	return secret.NewSet(out)
}

func TestReadSettings(t *testing.T) {
	dir := t.TempDir()
	tests := map[string]struct {
		creds   map[string]string
		address string
		mode    target.Mode
		err     string
	}{
		"defaults":         {map[string]string{"host": "db.internal"}, "db.internal:5432", target.Require, ""},
		"port":             {map[string]string{"host": "db", "port": "6000"}, "db:6000", target.Require, ""},
		"IPv6":             {map[string]string{"host": "::1"}, "[::1]:5432", target.Require, ""},
		"IPv6 in brackets": {map[string]string{"host": "[fe80::1%eth0]"}, "[fe80::1%eth0]:5432", target.Require, ""},
		"socket file":      {map[string]string{"host": dir + "/sock"}, dir + "/sock", target.Disable, ""},
		"socket directory": {map[string]string{"host": dir, "port": "6000", "sslmode": "verify-full"}, filepath.Join(dir, ".s.PGSQL.6000"), target.Disable, ""},
		"address":          {map[string]string{"address": "db:6000"}, "db:6000", target.Require, ""},
		"address, no port": {map[string]string{"address": "db"}, "db:5432", target.Require, ""},
		"address, IPv6":    {map[string]string{"address": "[::1]:6000"}, "[::1]:6000", target.Require, ""},
		"address wins":     {map[string]string{"address": "db:6000", "host": "other"}, "db:6000", target.Require, ""},
		"address, path":    {map[string]string{"address": "db:6000/shop"}, "db:6000", target.Require, ""},
		"empty":            {map[string]string{}, "", 0, "credentials of the service: host is empty"},
		"bad host":         {map[string]string{"host": "db/x"}, "", 0, `credentials of the service: host "db/x" is neither a name, an IP address nor an absolute socket path`},
		"port in host":     {map[string]string{"host": "db:5432"}, "", 0, `credentials of the service: host "db:5432" holds a colon but is no IPv6 address; a port goes into port`},
		"bad mode":         {map[string]string{"host": "db", "sslmode": "on"}, "", 0, `credentials of the service: sslmode "on" is unknown; use one of disable, prefer, require, verify-ca, verify-full`},
		"bad negotiation":  {map[string]string{"host": "db", "sslnegotiation": "x"}, "", 0, `credentials of the service: sslnegotiation "x" is unknown; use postgres or direct`},
		"direct and weak":  {map[string]string{"host": "db", "sslnegotiation": "direct", "sslmode": "prefer"}, "", 0, "credentials of the service: sslnegotiation direct leaves no way back to plain text, which sslmode prefer wants; set sslmode to require or stronger"},
		"NUL in password":  {map[string]string{"host": "db", "password": "se\x00same"}, "", 0, "credentials of the service: password holds a NUL byte, which PostgreSQL cannot take"},
		"key alone":        {map[string]string{"host": "db", "sslkey": "sesame"}, "", 0, "credentials of the service: sslkey is set but sslcert is not"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := readSettings(setOf(test.creds))
			if test.err != "" {
				if err == nil || err.Error() != strings.Replace(test.err, "credentials of the service: password", "credentials of the service: password", 1) || connector.KindOf(err) != connector.KindConfig {
					t.Errorf("got %v\nwant %s", err, test.err)
				}
				return
			}
			if err != nil || got.plan.Address.String() != test.address || got.plan.Mode != test.mode {
				t.Errorf("got %s %v, %v", got.plan.Address, got.plan.Mode, err)
			}
		})
	}
}

func TestAddressDatabase(t *testing.T) {
	got, err := readSettings(setOf(map[string]string{"address": "db:6000/shop"}))
	if err != nil || got.database != "shop" {
		t.Errorf("%q, %v", got.database, err)
	}
}

func TestBuild(t *testing.T) {
	base := []string{"host", "username", "password", "search_path"}
	tests := map[string]struct {
		config Config
		given  []string
		want   []string // path and text of each error
	}{
		"fine":             {Config{Enforce: []string{"search_path"}}, base, nil},
		"old address":      {Config{}, []string{"address", "username"}, nil},
		"not given":        {Config{Enforce: []string{"role"}}, base, []string{`config.enforce: enforce: "role" is not among the service's credentials (host, username, password, search_path)`}},
		"no parameter":     {Config{Enforce: []string{"password"}}, base, []string{`config.enforce: enforce: "password" is no startup parameter`}},
		"user":             {Config{}, append([]string{"user"}, base...), []string{"credentials.user: the role to log in as is the credential username, not user"}},
		"bad binding":      {Config{ChannelBinding: "yes"}, base, []string{`config.channelBinding: channelBinding "yes" is unknown; use one of prefer, require, disable`}},
		"bad method":       {Config{RequireAuth: []string{"scram"}}, base, []string{`config.requireAuth: requireAuth: "scram" is unknown; use some of scram-sha-256, md5, password, none`}},
		"no way to log in": {Config{RequireAuth: []string{"md5"}, ChannelBinding: "require"}, base, []string{"config.requireAuth: requireAuth has no scram-sha-256, which channelBinding require demands"}},
		"negative":         {Config{MinIterations: -1}, base, []string{"config.minIterations: minIterations -1 is below 1"}},
		"too many":         {Config{MaxIterations: 1 << 30}, base, []string{"config.maxIterations: maxIterations 1073741824 is above 10000000"}},
		"upside down":      {Config{MinIterations: 9000, MaxIterations: 5000}, base, []string{"config.maxIterations: maxIterations 5000 is below minIterations 9000"}},
		"several":          {Config{ChannelBinding: "yes", MinIterations: -1}, []string{"username"}, []string{"config.channelBinding: ", "config.minIterations: "}},
		"high minimum":     {Config{MinIterations: 2_000_000}, base, nil},
		"enforce twice":    {Config{Enforce: []string{"search_path", "search_path"}}, base, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			definition := Definition()
			decode := func(into any) error {
				reflect.ValueOf(into).Elem().Set(reflect.ValueOf(test.config))
				return nil
			}
			built, err := definition.Build(connector.Setup{Service: "db", Decode: decode, Credentials: test.given})
			got := fieldErrors(err)
			if len(got) != len(test.want) {
				t.Fatalf("got %q, want %q", got, test.want)
			}
			for i, want := range test.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("got  %s\nwant %s", got[i], want)
				}
			}
			if err == nil {
				built.(*Connector).Close()
			}
		})
	}
}

// fieldErrors flattens joined errors to "path: text".
func fieldErrors(err error) (out []string) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			out = append(out, fieldErrors(e)...)
		}
		return out
	}
	if field, ok := errors.AsType[*connector.FieldError](err); ok {
		out = append(out, strings.Join(field.Path, ".")+": "+field.Error())
	}
	return out
}

func TestCredentialChecks(t *testing.T) {
	for name, test := range map[string]struct{ credential, literal, want string }{
		"port":        {"port", "x", `port "x" is no number from 1 to 65535`},
		"mode":        {"sslmode", "x", `sslmode "x" is unknown; use one of disable, prefer, require, verify-ca, verify-full`},
		"negotiation": {"sslnegotiation", "x", `sslnegotiation "x" is unknown; use postgres or direct`},
		"roots":       {"sslrootcert", "/etc/ca.pem", "no PEM certificate; it is the text of the certificates, not the path of a file (use from: file for that)"},
		"host":        {"host", "db:5432", `host "db:5432" holds a colon but is no IPv6 address; a port goes into port`},
		"username":    {"username", "", "username is empty"},
		"fine port":   {"port", "5432", ""},
		"empty port":  {"port", "", ""},
		"fine mode":   {"sslmode", "verify-full", ""},
		"empty roots": {"sslrootcert", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range Definition().Credentials {
				if c.Name != test.credential {
					continue
				}
				if err := c.Check(test.literal); (err == nil) != (test.want == "") || err != nil && err.Error() != test.want {
					t.Errorf("got %v", err)
				}
				return
			}
			t.Error("no such credential")
		})
	}
}
