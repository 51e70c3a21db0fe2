//go:build unix

package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	mssql "github.com/microsoft/go-mssqldb"

	"secretless/internal/testenv"
	"secretless/internal/testenv/tdsserver"
)

// mssqlUser is whom the broker logs in as.
var mssqlUser = tdsserver.User{Name: "app", Password: `Gehäuse";{x}&1`}

// newMSSQL runs a target with a certificate of the test's authority.
func newMSSQL(t *testing.T, config tdsserver.Config, cert testenv.Cert) *tdsserver.Server {
	t.Helper()
	config.Databases = []string{"shop"}
	if config.Users == nil {
		config.Users = []tdsserver.User{mssqlUser}
	}
	if config.Encryption != tdsserver.EncryptionNotSupported {
		config.Certificate = testenv.CA(t).Server(t, cert).Certificate(t)
	}
	s, err := tdsserver.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// mssqlService is one service of the mssql connector.
type mssqlService struct {
	user     tdsserver.User // default mssqlUser
	host     string         // default 127.0.0.1
	port     int
	sslmode  string   // default disable
	more     []string // further lines of credentials, "name: value"
	settings []string // further lines of the service, with their own indent
}

func (r *running) mssqlSocket() string { return filepath.Join(r.dir, "mssql.sock") }

// mssqlYAML is a configuration with one service. The password comes from the
// environment.
func (r *running) mssqlYAML(s mssqlService) string {
	if s.host == "" {
		s.host = "127.0.0.1"
	}
	if s.sslmode == "" {
		s.sslmode = "disable"
	}
	if s.user.Name == "" {
		s.user = mssqlUser
	}
	r.env["DB_PASSWORD"] = s.user.Password
	var b strings.Builder
	fmt.Fprintf(&b, `version: "2"
services:
  db:
    connector: mssql
    listenOn: ["tcp://127.0.0.1:%d", "unix://%s"]
    drain: 5s
    credentials:
      host: %q
      port: %d
      sslmode: %s
      username: %s
      password: { from: env, get: DB_PASSWORD }
`, r.port, r.mssqlSocket(), s.host, s.port, s.sslmode, s.user.Name)
	for _, line := range s.more {
		fmt.Fprintf(&b, "      %s\n", line)
	}
	for _, line := range s.settings {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	fmt.Fprintf(&b, "audit: { to: \"file://%s/audit.jsonl\" }\n", r.dir)
	return b.String()
}

// startMSSQL runs the program in front of s and stops it with the test.
func startMSSQL(t *testing.T, s mssqlService) *running {
	t.Helper()
	r := prepare(t)
	r.run(r.mssqlYAML(s))
	return r
}

// mssqlPlace is the broker's front, for a client with somebody else's name and
// a password that is nobody's.
func (r *running) mssqlPlace() testenv.TDSPlace {
	return testenv.TDSPlace{Port: r.port, Socket: r.mssqlSocket(), User: "somebody", Password: "nobodys", Database: "shop"}
}

// mssqlDSN is how go-mssqldb connects through the broker; more are name=value.
func (r *running) mssqlDSN(more ...string) string {
	p := r.mssqlPlace()
	q := url.Values{"database": {p.Database}, "encrypt": {"disable"}, "dial timeout": {"20"}}
	for _, m := range more {
		name, value, _ := strings.Cut(m, "=")
		q.Set(name, value)
	}
	u := url.URL{Scheme: "sqlserver", User: url.UserPassword(p.User, p.Password), Host: fmt.Sprintf("127.0.0.1:%d", p.Port), RawQuery: q.Encode()}
	return u.String()
}

// unixDialer sends every connection to a socket.
type unixDialer string

func (d unixDialer) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", string(d))
}

// openMSSQL opens a pool over TCP, or over the socket if there is one.
func openMSSQL(t *testing.T, dsn, socket string) *sql.DB {
	t.Helper()
	c, err := mssql.NewConnector(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if socket != "" {
		c.Dialer = unixDialer(socket)
	}
	db := sql.OpenDB(c)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// mssqlText is the one value that a query yields, as text.
func mssqlText(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	var got string
	if err := db.QueryRowContext(t.Context(), query).Scan(&got); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return got
}

// mssqlRefusal connects and returns the error that the client was sent.
func mssqlRefusal(t *testing.T, dsn string) mssql.Error {
	t.Helper()
	err := openMSSQL(t, dsn, "").PingContext(t.Context())
	refusal, ok := errors.AsType[mssql.Error](err)
	if !ok {
		t.Fatalf("got %v, want an ERROR token", err)
	}
	return refusal
}
