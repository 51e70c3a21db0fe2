package testenv_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"secretless/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// connect logs in with pgx and returns the SQLSTATE of a refusal.
func connect(t *testing.T, dsn string) (sqlstate string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
			return pg.Code, err
		}
		return "", err
	}
	defer conn.Close(ctx)
	// The simple protocol: a replication connection knows no other.
	return "", conn.PgConn().Exec(ctx, "select 1").Close()
}

func TestUsersLogInAsTheirNamesSay(t *testing.T) {
	for _, version := range []int{15, 17, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			s := testenv.Postgres(t, testenv.PG{Version: version})
			u := s.Users
			cert, key := s.CA.Client(t, u.Cert.Name).Files(t)
			certOf := "sslmode=require sslcert=" + cert + " sslkey=" + key
			cert2, key2 := s.CA.Client(t, u.CertSCRAM.Name).Files(t)
			ca := testenv.WriteFile(t, "ca.crt", s.CA.CAPEM)
			verify := "sslmode=verify-full sslrootcert=" + ca
			unix := "host=" + s.SocketDir()
			wrong := func(user testenv.User) testenv.User { user.Password = "wrong"; return user }
			for name, c := range map[string]struct {
				dsn, want string
			}{
				"admin":                     {s.DSN(u.Admin), ""},
				"trust":                     {s.DSN(u.Trust), ""},
				"trust, unix":               {s.DSN(u.Trust, unix), ""},
				"trust, tls":                {s.DSN(u.Trust, verify), ""},
				"reject":                    {s.DSN(u.Reject), "28000"},
				"cleartext":                 {s.DSN(u.Cleartext), ""},
				"cleartext, wrong":          {s.DSN(wrong(u.Cleartext)), "28P01"},
				"md5":                       {s.DSN(u.MD5), ""},
				"md5, unix":                 {s.DSN(u.MD5, unix), ""},
				"md5, wrong":                {s.DSN(wrong(u.MD5)), "28P01"},
				"scram":                     {s.DSN(u.SCRAM), ""},
				"scram, tls":                {s.DSN(u.SCRAM, verify), ""},
				"scram, channel binding":    {s.DSN(u.SCRAM, verify, "channel_binding=require"), ""},
				"scram, unix":               {s.DSN(u.SCRAM, unix), ""},
				"scram, wrong":              {s.DSN(wrong(u.SCRAM)), "28P01"},
				"scram, replication":        {s.DSN(u.SCRAM, "replication=database"), ""},
				"cert":                      {s.DSN(u.Cert, certOf), ""},
				"cert, none":                {s.DSN(u.Cert, "sslmode=require"), "28000"},
				"cert, no tls":              {s.DSN(u.Cert), "28000"},
				"cert of another":           {s.DSN(u.CertSCRAM, certOf), "28P01"},
				"cert and scram":            {s.DSN(u.CertSCRAM, "sslmode=require sslcert="+cert2+" sslkey="+key2), ""},
				"cert and scram, no cert":   {s.DSN(u.CertSCRAM, "sslmode=require"), "28000"},
				"tls only":                  {s.DSN(u.TLSOnly, "sslmode=require"), ""},
				"tls only, plain":           {s.DSN(u.TLSOnly), "28000"},
				"plain only":                {s.DSN(u.PlainOnly), ""},
				"plain only, tls":           {s.DSN(u.PlainOnly, "sslmode=require"), "28000"},
				"connection limit":          {s.DSN(u.Full), "53300"},
				"no login":                  {s.DSN(u.NoLogin), "28000"},
				"no such database":          {s.DSN(u.SCRAM, "dbname=missing"), "3D000"},
				"role that does not exist":  {s.DSN(testenv.User{Name: "nobody", Password: "x"}), "28000"},
				"channel binding, no tls":   {s.DSN(u.SCRAM, "channel_binding=require"), "none"},
				"tls, wrong authority":      {s.DSN(u.SCRAM, "sslmode=verify-ca sslrootcert="+testenv.WriteFile(t, "x", s.CA.OtherCAPEM)), "none"},
				"tls, name is not the cert": {s.DSN(u.SCRAM, verify, "host=127.0.0.2"), "none"},
			} {
				t.Run(name, func(t *testing.T) {
					code, err := connect(t, c.dsn)
					switch {
					case c.want == "none" && (err == nil || code != ""):
						t.Errorf("got SQLSTATE %q, %v; want a failure before the server says anything", code, err)
					case c.want == "" && err != nil, c.want != "none" && code != c.want:
						t.Errorf("got SQLSTATE %q, %v; want %q", code, err, c.want)
					}
				})
			}
			if s.IPv6 {
				if _, err := connect(t, s.DSN(u.SCRAM, "host=::1")); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// The server itself must ask for what the user's name says: a client that got
// in proves nothing about how.
func TestServerAsksForTheMethod(t *testing.T) {
	s := testenv.Postgres(t, testenv.PG{})
	rules := map[string]string{}
	rows, _ := s.Connect(t).Query(t.Context(),
		"select user_name[1], auth_method from pg_hba_file_rules where address = '127.0.0.1' and database = '{all}' and error is null")
	var user, method string
	_, err := pgx.ForEachRow(rows, []any{&user, &method}, func() error { rules[user] = method; return nil })
	if err != nil {
		t.Fatal(err)
	}
	for user, want := range map[testenv.User]string{
		s.Users.Trust: "trust", s.Users.Reject: "reject", s.Users.Cleartext: "password", s.Users.MD5: "md5",
		s.Users.SCRAM: "scram-sha-256", s.Users.Cert: "cert",
	} {
		if rules[user.Name] != want {
			t.Errorf("%s is asked for %q, want %q", user.Name, rules[user.Name], want)
		}
	}
	var stored string
	q := "select left(rolpassword, 3) from pg_authid where rolname = $1"
	if err := s.Connect(t).QueryRow(t.Context(), q, s.Users.MD5.Name).Scan(&stored); err != nil || stored != "md5" {
		t.Errorf("the md5 user's password is stored as %q (%v)", stored, err)
	}
}

func TestVariants(t *testing.T) {
	ca := testenv.WriteFile(t, "ca.crt", testenv.CA(t).CAPEM)
	for name, c := range map[string]struct {
		pg    testenv.PG
		mode  string
		fails string
	}{
		"no tls, plain":          {testenv.PG{NoTLS: true}, "disable", ""},
		"no tls, required":       {testenv.PG{NoTLS: true}, "require", "refused TLS"},
		"rsa":                    {testenv.PG{Cert: testenv.CertRSA}, "verify-full channel_binding=require", ""},
		"wrong host, ca only":    {testenv.PG{Cert: testenv.CertWrongHost}, "verify-ca", ""},
		"wrong host, full":       {testenv.PG{Cert: testenv.CertWrongHost}, "verify-full", "doesn't contain any IP SANs"},
		"expired":                {testenv.PG{Cert: testenv.CertExpired}, "verify-full", "expired"},
		"other authority":        {testenv.PG{Cert: testenv.CertOtherCA}, "verify-ca", "unknown authority"},
		"settings, tls 1.2 only": {testenv.PG{Settings: "ssl_max_protocol_version = 'TLSv1.2'"}, "verify-full", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := testenv.Postgres(t, c.pg)
			_, err := connect(t, s.DSN(s.Users.SCRAM, "sslrootcert="+ca+" sslmode="+c.mode))
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("got %v, want %q", err, c.fails)
			}
		})
	}
}

func TestLifecycle(t *testing.T) {
	s := testenv.NewPostgres(t, testenv.PG{NoTLS: true})
	dsn := s.DSN(s.Users.SCRAM)
	s.Exec(t, "create table kept (); alter table kept owner to scram")
	conn := s.Connect(t)
	s.Kill()
	if _, err := conn.Exec(t.Context(), "select 1"); err == nil {
		t.Error("a connection outlived a killed server")
	}
	if _, err := connect(t, dsn); err == nil {
		t.Error("a killed server takes connections")
	}
	s.Restart(t)
	if _, err := connect(t, dsn); err != nil {
		t.Error(err)
	}
	s.Stop()
	s.Stop()
	if _, err := connect(t, dsn); err == nil {
		t.Error("a stopped server takes connections")
	}
	if _, err := os.Stat(s.Socket()); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
	s.Restart(t)
	s.Exec(t, "select * from kept")
}

func TestSharing(t *testing.T) {
	if testenv.Postgres(t, testenv.PG{}) != testenv.Postgres(t, testenv.PG{Version: 15}) {
		t.Error("equal wishes got two servers")
	}
	if a, b := testenv.NewPostgres(t, testenv.PG{}), testenv.Postgres(t, testenv.PG{}); a == b || a.Port == b.Port {
		t.Error("a dedicated server is the shared one")
	}
}
