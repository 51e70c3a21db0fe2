package postgres

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"secretless/internal/testenv"
)

// versions are the servers that behaviour is checked against.
var versions = []int{15, 17, 18}

// creds are credentials for a role of a test server, with more or other ones.
func creds(s *testenv.Server, u testenv.User, more ...string) map[string]string {
	out := map[string]string{"host": "127.0.0.1", "port": strconv.Itoa(s.Port), "username": u.Name, "sslmode": "disable"}
	if u.Password != "" {
		out["password"] = u.Password
	}
	for i := 0; i+1 < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	maps.DeleteFunc(out, func(_, v string) bool { return v == "" })
	return out
}

// ask logs in through the front as somebody else and returns one value.
func ask(t *testing.T, f *front, query string, options ...string) (string, error) {
	t.Helper()
	dsn := fmt.Sprintf("host=127.0.0.1 port=%s user=nobody password=wrong dbname=%s sslmode=disable", f.Port(), testenv.Database)
	for _, o := range options {
		dsn += " " + o
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var out string
	err = conn.QueryRow(t.Context(), query).Scan(&out)
	return out, err
}

func TestAuthenticationMethods(t *testing.T) {
	for _, version := range versions {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			s := testenv.Postgres(t, testenv.PG{Version: version})
			u := s.Users
			cert, certScram := s.CA.Client(t, u.Cert.Name), s.CA.Client(t, u.CertSCRAM.Name)
			tests := map[string]struct {
				config Config
				creds  map[string]string
				user   string
			}{
				"trust":                {creds: creds(s, u.Trust), user: u.Trust.Name},
				"cleartext over TLS":   {creds: creds(s, u.Cleartext, "sslmode", "require"), user: u.Cleartext.Name},
				"cleartext allowed":    {Config{AllowCleartext: true}, creds(s, u.Cleartext), u.Cleartext.Name},
				"cleartext on socket":  {creds: creds(s, u.Cleartext, "host", s.Socket()), user: u.Cleartext.Name},
				"md5":                  {creds: creds(s, u.MD5), user: u.MD5.Name},
				"scram":                {creds: creds(s, u.SCRAM), user: u.SCRAM.Name},
				"scram on socket":      {creds: creds(s, u.SCRAM, "host", s.SocketDir()), user: u.SCRAM.Name},
				"scram plus":           {Config{ChannelBinding: "require"}, creds(s, u.SCRAM, "sslmode", "require"), u.SCRAM.Name},
				"scram, binding off":   {Config{ChannelBinding: "disable"}, creds(s, u.SCRAM, "sslmode", "require"), u.SCRAM.Name},
				"prefer":               {creds: creds(s, u.TLSOnly, "sslmode", "prefer"), user: u.TLSOnly.Name},
				"default mode":         {creds: creds(s, u.TLSOnly, "sslmode", ""), user: u.TLSOnly.Name},
				"verify-ca":            {creds: creds(s, u.TLSOnly, "sslmode", "verify-ca", "sslrootcert", s.CA.CAPEM), user: u.TLSOnly.Name},
				"verify-full":          {creds: creds(s, u.TLSOnly, "sslmode", "verify-full", "sslrootcert", s.CA.CAPEM), user: u.TLSOnly.Name},
				"client certificate":   {creds: creds(s, u.Cert, "sslmode", "require", "sslcert", cert.CertPEM, "sslkey", cert.KeyPEM), user: u.Cert.Name},
				"certificate and plus": {creds: creds(s, u.CertSCRAM, "sslmode", "verify-full", "sslrootcert", s.CA.CAPEM, "sslcert", certScram.CertPEM, "sslkey", certScram.KeyPEM), user: u.CertSCRAM.Name},
				"old address":          {creds: creds(s, u.SCRAM, "host", "", "port", "", "address", s.TCP()), user: u.SCRAM.Name},
			}
			for name, test := range tests {
				t.Run(name, func(t *testing.T) {
					f := newFront(t, test.config, test.creds)
					for range 2 { // the second time with cached keys
						got, err := ask(t, f, "select current_user::text")
						if err != nil || got != test.user {
							t.Fatalf("got %q, %v; want %q", got, err, test.user)
						}
					}
				})
			}
		})
	}
}
