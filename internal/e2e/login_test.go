//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"secretless/internal/testenv"
)

// Every way to log in, against every version of the server.
func TestEveryAuthenticationMethod(t *testing.T) {
	for _, version := range []int{15, 17, 18} {
		server := testenv.Postgres(t, testenv.PG{Version: version})
		u := server.Users
		client := server.CA.Client(t, u.Cert.Name)
		both := server.CA.Client(t, u.CertSCRAM.Name)
		for name, s := range map[string]service{
			"trust":             {user: u.Trust},
			"md5":               {user: u.MD5},
			"scram":             {user: u.SCRAM},
			"scram over tls":    {user: u.SCRAM, sslmode: "require"},
			"tls only":          {user: u.TLSOnly, sslmode: "require"},
			"plain only":        {user: u.PlainOnly},
			"prefer":            {user: u.TLSOnly, sslmode: "prefer"},
			"cleartext tls":     {user: u.Cleartext, sslmode: "require"},
			"cleartext allowed": {user: u.Cleartext, settings: []string{"config: { allowCleartext: true }"}},
			"cleartext socket":  {user: u.Cleartext, host: server.SocketDir()},
			"scram socket":      {user: u.SCRAM, host: server.SocketDir()},
			"certificate":       {user: u.Cert, sslmode: "require", more: pemLines(client, "")},
			"certificate scram": {user: u.CertSCRAM, sslmode: "verify-full", more: pemLines(both, server.CA.CAPEM)},
			"verify-ca":         {user: u.SCRAM, sslmode: "verify-ca", more: pemLines(testenv.KeyPair{}, server.CA.CAPEM)},
			"verify-full":       {user: u.SCRAM, sslmode: "verify-full", more: pemLines(testenv.KeyPair{}, server.CA.CAPEM)},
			"ipv6":              {user: u.SCRAM, host: "::1"},
		} {
			if name == "ipv6" && !server.IPv6 {
				continue
			}
			t.Run(fmt.Sprintf("%d/%s", version, name), func(t *testing.T) {
				t.Parallel()
				s.server = server
				r := start(t, s)
				expectUser(t, r.dsn(), s.user.Name)
				expectUser(t, r.socketDSN(), s.user.Name)
			})
		}
	}
}

func pemLines(pair testenv.KeyPair, ca string) []string {
	var lines []string
	add := func(name, text string) {
		if text != "" {
			lines = append(lines, fmt.Sprintf("%s: %q", name, text))
		}
	}
	add("sslcert", pair.CertPEM)
	add("sslkey", pair.KeyPEM)
	add("sslrootcert", ca)
	return lines
}

func expectUser(t *testing.T, dsn, user string) {
	t.Helper()
	conn := connect(t, dsn)
	var got string
	if err := conn.QueryRow(t.Context(), "select current_user").Scan(&got); err != nil || got != user {
		t.Errorf("current_user is %q, %v; want %q", got, err, user)
	}
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// connectError connects and returns the error that the client was sent.
func connectError(t *testing.T, dsn string) *pgconn.PgError {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err == nil {
		_ = conn.Close(context.Background())
		t.Fatal("connected, want an error")
	}
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		t.Fatalf("got %v, want an ErrorResponse", err)
	}
	return pgErr
}

// Every failure reaches the client as an ErrorResponse that says what and
// where.
func TestEveryFailure(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	noTLS := testenv.Postgres(t, testenv.PG{NoTLS: true})
	wrongHost := testenv.Postgres(t, testenv.PG{Cert: testenv.CertWrongHost})
	u := server.Users
	dead := service{server: server, user: server.Users.SCRAM}
	dead.port = testenv.Refusing(t).Port
	target := fmt.Sprintf("127.0.0.1:%d", server.Port)
	for name, c := range map[string]struct {
		service service
		dsn     string
		code    string
		text    []string
	}{
		"wrong password":        {service: service{server: server, user: testenv.User{Name: u.SCRAM.Name, Password: "wrong-" + u.MD5.Password}}, code: "28P01", text: []string{"password authentication failed"}},
		"wrong md5 password":    {service: service{server: server, user: testenv.User{Name: u.MD5.Name, Password: "wrong-" + u.MD5.Password}}, code: "28P01", text: []string{"password authentication failed"}},
		"no pg_hba entry":       {service: service{server: server, user: u.Reject}, code: "28000", text: []string{"pg_hba.conf"}},
		"role may not log in":   {service: service{server: server, user: u.NoLogin}, code: "28000", text: []string{"not permitted to log in"}},
		"too many for the role": {service: service{server: server, user: u.Full}, code: "53300", text: []string{"too many connections"}},
		"unknown database":      {service: service{server: server, user: u.SCRAM}, dsn: "dbname=nonesuch", code: "3D000", text: []string{"nonesuch"}},
		"dead target":           {service: dead, code: "08001", text: []string{fmt.Sprint(dead.port), "refused"}},
		"unknown name":          {service: service{server: server, user: u.SCRAM, host: "no-such-host.invalid"}, code: "08001", text: []string{"no-such-host.invalid"}},
		"cleartext refused":     {service: service{server: server, user: u.Cleartext}, text: []string{"allowCleartext"}},
		"tls refused":           {service: service{server: noTLS, user: u.SCRAM, sslmode: "require"}, code: "08001", text: []string{"TLS", "sslmode"}},
		"unknown authority":     {service: service{server: server, user: u.SCRAM, sslmode: "verify-ca", more: pemLines(testenv.KeyPair{}, "")}, code: "08001", text: []string{target, "certificate"}},
		"wrong host":            {service: service{server: wrongHost, user: u.SCRAM, sslmode: "verify-full", more: pemLines(testenv.KeyPair{}, server.CA.CAPEM)}, code: "08001", text: []string{"127.0.0.1"}},
		"missing certificate":   {service: service{server: server, user: u.Cert, sslmode: "require"}, code: "28000", text: []string{"certificate"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, c.service)
			got := connectError(t, r.dsn(c.dsn))
			if c.code != "" && got.Code != c.code {
				t.Errorf("SQLSTATE %s, want %s (%s)", got.Code, c.code, got.Message)
			}
			for _, want := range c.text {
				if !strings.Contains(got.Message+got.Detail+got.Hint, want) {
					t.Errorf("the error lacks %q: %s %s %s", want, got.Message, got.Detail, got.Hint)
				}
			}
			if p := c.service.user.Password; p != "" && strings.Contains(fmt.Sprintf("%+v", got), p) {
				t.Error("the password is in the error")
			}
		})
	}
}

// A provider that has nothing fails the connection, not the broker.
func TestMissingCredential(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	r := prepare(t)
	yaml := r.yaml(service{server: server, user: server.Users.SCRAM})
	delete(r.env, "DB_PASSWORD")
	r.run(yaml)
	got := connectError(t, r.dsn())
	if !strings.Contains(got.Message, "DB_PASSWORD") || !strings.Contains(got.Message, "env") {
		t.Errorf("the error does not name provider and id: %s", got.Message)
	}
}
