package testenv_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"secretless/internal/testenv"
)

const usesTLS = "select coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false)::text"

func TestPsql(t *testing.T) {
	psql := testenv.Tool(t, "psql")
	s := testenv.Postgres(t, testenv.PG{})
	u := s.Users
	cert, key := s.CA.Client(t, u.Cert.Name).Files(t)
	ca := testenv.WriteFile(t, "ca.crt", s.CA.CAPEM)
	for name, c := range map[string]struct{ dsn, want string }{
		"trust":                  {s.DSN(u.Trust), "false"},
		"reject":                 {s.DSN(u.Reject), "rejects connection"},
		"cleartext":              {s.DSN(u.Cleartext), "false"},
		"md5":                    {s.DSN(u.MD5), "false"},
		"scram":                  {s.DSN(u.SCRAM), "false"},
		"scram, unix":            {s.DSN(u.SCRAM, "host="+s.SocketDir()), "false"},
		"scram, channel binding": {s.DSN(u.SCRAM, "channel_binding=require sslmode=verify-full sslrootcert="+ca), "true"},
		"cert":                   {s.DSN(u.Cert, "sslmode=verify-full sslrootcert="+ca+" sslcert="+cert+" sslkey="+key), "true"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := testenv.Command(t, nil, psql, "-XAtc", usesTLS, c.dsn)
			if !strings.Contains(out, c.want) {
				t.Errorf("got %q (%v), want %q", out, err, c.want)
			}
		})
	}
}

func TestPgbenchIsThere(t *testing.T) {
	if out, err := testenv.Command(t, nil, testenv.Tool(t, "pgbench"), "--version"); err != nil {
		t.Error(out, err)
	}
}

func TestNodePG(t *testing.T) {
	node, modules := testenv.NodePG(t)
	s := testenv.Postgres(t, testenv.PG{Version: 18})
	script := `const {Client} = require('pg');
(async () => { const c = new Client(); await c.connect(); console.log((await c.query('select 41+1 as n')).rows[0].n); await c.end() })()`
	out, err := testenv.Command(t, append(pgVars(s, s.Users.SCRAM), "NODE_PATH="+modules), node, "-e", script)
	if err != nil || strings.TrimSpace(out) != "42" {
		t.Errorf("%s (%v)", out, err)
	}
}

func TestPsycopg2(t *testing.T) {
	python := testenv.Psycopg2(t)
	s := testenv.Postgres(t, testenv.PG{Version: 17})
	script := `import psycopg2; c = psycopg2.connect(""); k = c.cursor(); k.execute("select 41+1"); print(k.fetchone()[0])`
	out, err := testenv.Command(t, pgVars(s, s.Users.MD5), python, "-c", script)
	if err != nil || strings.TrimSpace(out) != "42" {
		t.Errorf("%s (%v)", out, err)
	}
}

func TestJDBC(t *testing.T) {
	java, jar := testenv.JDBC(t)
	s := testenv.Postgres(t, testenv.PG{})
	source := filepath.Join(t.TempDir(), "Ask.java")
	program := `import java.sql.*;
public class Ask { public static void main(String[] a) throws Exception {
	try (Connection c = DriverManager.getConnection(a[0], a[1], a[2]); ResultSet r = c.createStatement().executeQuery("select 41+1")) {
		r.next(); System.out.println(r.getInt(1));
	}
} }`
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := testenv.Command(t, nil, java, "-cp", jar, source,
		"jdbc:postgresql://"+s.TCP()+"/"+testenv.Database, s.Users.SCRAM.Name, s.Users.SCRAM.Password)
	if err != nil || strings.TrimSpace(out) != "42" {
		t.Errorf("%s (%v)", out, err)
	}
}

func pgVars(s *testenv.Server, u testenv.User) []string {
	host, port, _ := strings.Cut(s.TCP(), ":")
	return []string{"PGHOST=" + host, "PGPORT=" + port, "PGUSER=" + u.Name, "PGPASSWORD=" + u.Password, "PGDATABASE=" + testenv.Database}
}

const holdServer = "SECRETLESS_TEST_HOLD_SERVER"

// TestHold is not a test of its own: the next one runs it in a process that
// it kills.
func TestHold(t *testing.T) {
	if os.Getenv(holdServer) == "" {
		t.Skip("only for TestServerDiesWithTheProcess")
	}
	s := testenv.Postgres(t, testenv.PG{})
	if _, err := os.Stdout.WriteString("server at " + s.TCP() + " in " + s.SocketDir() + "\n"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
}

func TestServerDiesWithTheProcess(t *testing.T) {
	if !testenv.CanBindToProcess() {
		t.Skip("this platform cannot end a child with its parent")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestHold$", "-test.v")
	cmd.Env = append(os.Environ(), holdServer+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, dir := "", ""
	for lines := bufio.NewScanner(out); address == "" && lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "server at "); ok {
			address, dir, _ = strings.Cut(rest, " in ")
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if address == "" {
		t.Fatal("the other process started no server")
	}
	defer os.RemoveAll(filepath.Dir(dir))
	deadline := time.Now().Add(30 * time.Second)
	for fileExists(filepath.Join(dir, "data", "postmaster.pid")) {
		if time.Now().After(deadline) {
			t.Fatal("the server outlives the process that started it")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
