//go:build linux

package e2e

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"secretless/internal/testenv"
	"secretless/internal/testenv/tdsserver"
)

// Every connector works in a process of its own, which gives up its rights as
// users' brokers do. TestCanary does the same with every provider, and
// SECRETLESS_E2E_OWN_PROCESS=1 with all of these tests.
func TestHardenedConnectors(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("hardening is for Linux")
	}
	t.Setenv(ownProcessVariable, "1")
	t.Run("pg", func(t *testing.T) {
		server := testenv.Postgres(t, testenv.PG{})
		r := start(t, service{server: server, user: server.Users.SCRAM, sslmode: "verify-full", more: pemLines(testenv.KeyPair{}, server.CA.CAPEM)})
		expectUser(t, r.dsn(), server.Users.SCRAM.Name)
		expectUser(t, r.socketDSN(), server.Users.SCRAM.Name)
		if !r.log.has(`"systemCalls":"on`) {
			t.Errorf("the broker is not hardened; its log:\n%s", r.log)
		}
	})
	t.Run("mysql", func(t *testing.T) {
		server := testenv.MariaDB(t, testenv.Maria{})
		p := startMySQL(t, mysqlService{user: server.Users.Ed25519, port: server.Port, sslmode: "require"}).place(server.Users.Ed25519.Name)
		expectMySQLUser(t, p.config(), server.Users.Ed25519.Name)
		expectMySQLUser(t, p.overSocket(), server.Users.Ed25519.Name)
	})
	t.Run("mssql", hardenedMSSQL)
	t.Run("ssh", func(t *testing.T) {
		p := startSSH(t, sshTarget(testenv.SSHD(t, testenv.SSH{}))).sshPlace(t)
		if err := p.ssh(t, nil, "echo hello").prints("hello\n"); err != nil {
			t.Error(err)
		}
	})
	t.Run("ssh-agent", func(t *testing.T) {
		a := startAgent(t, testenv.SSHD(t, testenv.SSH{}).Keys.Ed25519.Private)
		if out, err := a.sshAdd("-l"); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("http", TestBasicAuthServers)
}

func hardenedMSSQL(t *testing.T) {
	server := newMSSQL(t, tdsserver.Config{}, testenv.CertECDSA)
	db, err := sql.Open("sqlserver", startMSSQL(t, mssqlService{port: server.Addr().Port}).mssqlDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.PingContext(t.Context()); err != nil {
		t.Error(err)
	}
}

// Strict: everything is given up and the broker works, reloads included, until
// a reload wants what is no more.
func TestStrictBroker(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("hardening is for Linux")
	}
	server := testenv.Postgres(t, testenv.PG{})
	r := prepare(t)
	r.own = true
	r.env["HOME"] = r.dir
	r.env["DB_PASSWORD"] = server.Users.SCRAM.Password
	yaml := func(drain, get, more string) string {
		return fmt.Sprintf(`version: "2"
hardening: strict
services:
  db:
    connector: pg
    listenOn: ["tcp://127.0.0.1:%d", "unix://%s/.s.PGSQL.5432"]
    drain: %s
    credentials: { host: 127.0.0.1, port: %d, sslmode: disable, username: %s, password: { from: env, get: %s } }
admin: { health: "off", socket: "unix://%s/admin" }
audit: { to: "file://%s/audit.jsonl" }
%s`, r.port, r.dir, drain, server.Port, server.Users.SCRAM.Name, get, r.dir, r.dir, more)
	}
	r.write(yaml("1s", "DB_PASSWORD", ""))
	r.launch("serve", "-f", r.config)
	ended := false
	r.eventually("the broker to be ready", func() bool {
		select {
		case <-r.done:
			ended = true
		default:
		}
		return ended || r.log.has(`"msg":"ready"`)
	})
	if ended {
		if r.log.has("Linux 6.12") || r.log.has("on Linux only") || r.log.has("the kernel") {
			t.Skipf("strict is not possible here: %s", r.log)
		}
		t.Fatalf("the broker ended: %s", r.log)
	}
	expectUser(t, r.dsn(), server.Users.SCRAM.Name)
	expectUser(t, r.socketDSN(), server.Users.SCRAM.Name)
	reload := func(text string) {
		t.Helper()
		r.write(text)
		code, out := r.command("reload", "--socket", filepath.Join(r.dir, "admin"))
		t.Logf("reload: %d %s", code, out)
	}
	reload(yaml("2s", "DB_PASSWORD", ""))
	expectUser(t, r.socketDSN(), server.Users.SCRAM.Name)
	// What is no more is refused, and what runs goes on.
	r.port++
	reload(yaml("2s", "DB_PASSWORD", ""))
	r.port--
	r.eventually("the refusal", func() bool {
		_, out := r.command("status", "--socket", filepath.Join(r.dir, "admin"))
		return strings.Contains(out, "was not listened on when the broker started")
	})
	conn, err := pgx.Connect(t.Context(), r.dsn())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
}

// Under fips140=only, in which Go refuses by itself whatever is not approved,
// connectors work with what is, and say what is wrong with what is not.
func TestFIPSMode(t *testing.T) {
	t.Setenv(ownProcessVariable, "fips140=only")
	pg := testenv.Postgres(t, testenv.PG{})
	t.Run("pg", func(t *testing.T) {
		s := service{server: pg, user: pg.Users.SCRAM, sslmode: "verify-full", more: pemLines(testenv.KeyPair{}, pg.CA.CAPEM)}
		r := start(t, s)
		expectUser(t, r.dsn(), pg.Users.SCRAM.Name)
		if !r.log.has("FIPS 140-3 only") {
			t.Error("the log does not tell the mode")
		}
	})
	t.Run("pg md5", func(t *testing.T) {
		err := connectError(t, start(t, service{server: pg, user: pg.Users.MD5}).dsn())
		if !strings.Contains(err.Message, "MD5 authentication is not approved by FIPS 140-3") {
			t.Error(err)
		}
	})
	maria := testenv.MariaDB(t, testenv.Maria{})
	for _, u := range []testenv.User{maria.Users.Native, maria.Users.Ed25519} {
		t.Run("mysql "+u.Name, func(t *testing.T) {
			p := startMySQL(t, mysqlService{user: u, port: maria.Port, sslmode: "require"}).place(u.Name)
			if err := pingMySQL(p); err == nil || !strings.Contains(err.Error(), "is not approved by FIPS 140-3") {
				t.Error(err)
			}
		})
	}
	t.Run("mysql caching_sha2_password", func(t *testing.T) {
		f := testenv.NewMySQLFacade(t, testenv.Facade{})
		p := startMySQL(t, mysqlService{user: f.Users.Native, port: f.Port, sslmode: "verify-full", more: pemLines(testenv.KeyPair{}, f.CA.CAPEM)}).place(f.Users.Native.Name)
		expectMySQLUser(t, p.config(), f.Users.Native.Name)
	})
	t.Run("mssql", hardenedMSSQL)
	t.Run("ssh", func(t *testing.T) {
		server := testenv.SSHD(t, testenv.SSH{})
		s := sshTarget(server)
		s.secrets = map[string]string{"privateKey": server.Keys.ECDSA256.Private}
		if err := startSSH(t, s).sshPlace(t).ssh(t, nil, "echo hello").prints("hello\n"); err != nil {
			t.Error(err)
		}
	})
	t.Run("http", TestBasicAuthServers)
}

func pingMySQL(p mysqlPlace) error {
	db, err := sql.Open("mysql", p.config().FormatDSN())
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Ping()
}

// What the broker gave up when it started a reload does not win back; with
// --hardening=off it takes everything.
func TestReloadAfterHardening(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("hardening is for Linux")
	}
	for level, want := range map[string]string{"default": "runs programs, which the broker gave up when it started", "off": ""} {
		t.Run(level, func(t *testing.T) {
			r := prepare(t)
			r.own = true
			r.env["HOME"] = r.dir
			yaml := func(password, more string) string {
				return fmt.Sprintf(`version: "2"
services:
  db: { connector: pg, listenOn: "tcp://127.0.0.1:%d", credentials: { host: 127.0.0.1, username: u, password: %s } }
admin: { health: "off", socket: "unix://%s/admin" }
%s`, r.port, password, r.dir, more)
			}
			r.run(yaml("{ from: env, get: PASSWORD }", ""), "--hardening="+level)
			r.write(yaml("{ from: p, get: x }", "providers: { p: { type: exec, command: [/bin/true] } }\n"))
			code, out := r.command("reload", "--socket", filepath.Join(r.dir, "admin"))
			if (code == 0) != (want == "") || !strings.Contains(out, want) {
				t.Errorf("reload: %d %s", code, out)
			}
		})
	}
}
