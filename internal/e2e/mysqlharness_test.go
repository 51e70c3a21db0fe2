//go:build unix

package e2e

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"secretless/internal/testenv"
)

// mysqlService is one service of the mysql connector.
type mysqlService struct {
	user     testenv.User
	host     string // default 127.0.0.1
	port     int
	sslmode  string   // default disable
	more     []string // further lines of credentials, "name: value"
	settings []string // further lines of the service, with their own indent
}

// mysqlPlace is where a client connects and as whom: a server or the broker.
type mysqlPlace struct {
	port     int
	socket   string // empty where there is none
	user     string
	password string
	// is whom the server sees.
	is string
	// mysql8 tells that the server has the version of MySQL 8.
	mysql8 bool
}

func (r *running) mysqlSocket() string { return filepath.Join(r.dir, "mysql.sock") }

// place is the broker's front, for a client with somebody else's name and a
// password that is nobody's.
func (r *running) place(is string) mysqlPlace {
	return mysqlPlace{port: r.port, socket: r.mysqlSocket(), user: "somebody", password: "of no interest", is: is}
}

// mysqlYAML is a configuration with one service. The password comes from the
// environment.
func (r *running) mysqlYAML(s mysqlService) string {
	if s.host == "" {
		s.host = "127.0.0.1"
	}
	if s.sslmode == "" {
		s.sslmode = "disable"
	}
	r.env["DB_PASSWORD"] = s.user.Password
	var b strings.Builder
	fmt.Fprintf(&b, `version: "2"
services:
  db:
    connector: mysql
    listenOn: ["tcp://127.0.0.1:%d", "unix://%s"]
    drain: 5s
    credentials:
      host: %q
      port: %d
      sslmode: %s
      username: %s
`, r.port, r.mysqlSocket(), s.host, s.port, s.sslmode, s.user.Name)
	if s.user.Password != "" {
		b.WriteString("      password: { from: env, get: DB_PASSWORD }\n")
	}
	for _, line := range s.more {
		fmt.Fprintf(&b, "      %s\n", line)
	}
	for _, line := range s.settings {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	fmt.Fprintf(&b, "admin: { health: \"unix://%s/health\", socket: \"unix://%s/admin\" }\n", r.dir, r.dir)
	fmt.Fprintf(&b, "audit: { to: \"file://%s/audit.jsonl\" }\n", r.dir)
	return b.String()
}

// startMySQL runs the program in front of s and stops it with the test.
func startMySQL(t *testing.T, s mysqlService) *running {
	t.Helper()
	r := prepare(t)
	r.run(r.mysqlYAML(s))
	return r
}

// config is how go-sql-driver/mysql connects over TCP.
func (p mysqlPlace) config() *mysql.Config {
	c := mysql.NewConfig()
	c.Net, c.Addr, c.DBName, c.User, c.Passwd = "tcp", fmt.Sprintf("127.0.0.1:%d", p.port), testenv.Database, p.user, p.password
	c.Timeout = patience
	c.MaxAllowedPacket = 64 << 20
	c.Logger = &mysql.NopLogger{}
	return c
}

// overSocket is config over the unix socket.
func (p mysqlPlace) overSocket() *mysql.Config {
	c := p.config()
	c.Net, c.Addr = "unix", p.socket
	return c
}

func openMySQL(t *testing.T, c *mysql.Config) *sql.DB {
	t.Helper()
	db, err := testenv.Connect(t, c)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// mysqlRefusal connects and returns the ERR packet that the client was sent.
func mysqlRefusal(t *testing.T, c *mysql.Config) *mysql.MySQLError {
	t.Helper()
	_, err := testenv.Connect(t, c)
	refusal, ok := errors.AsType[*mysql.MySQLError](err)
	if !ok {
		t.Fatalf("got %v, want an ERR packet", err)
	}
	return refusal
}

func expectMySQLUser(t *testing.T, c *mysql.Config, user string) {
	t.Helper()
	db := openMySQL(t, c)
	defer func() { _ = db.Close() }()
	var got string
	row := db.QueryRowContext(t.Context(), "select current_user()")
	if err := row.Scan(&got); err != nil || got != user+"@%" {
		t.Errorf("current_user is %q, %v; want %q", got, err, user)
	}
}
