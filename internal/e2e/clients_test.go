//go:build unix

package e2e

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/lib/pq"

	"secretless/internal/testenv"
)

// Real clients, each with what it does at the start that others do not.
func TestClients(t *testing.T) {
	for _, version := range []int{15, 18} {
		server := testenv.Postgres(t, testenv.PG{Version: version})
		r := start(t, service{server: server, user: server.Users.SCRAM, sslmode: "require"})
		for name, test := range map[string]func(*testing.T, *running){
			"psql": psqlClient, "psql prefer": psqlPrefer, "psql require": psqlRequire, "psql copy": psqlCopy,
			"pgbench": pgbenchClient, "pq": pqClient,
			"psycopg2": psycopg2Client, "node": nodeClient, "jdbc": jdbcClient,
		} {
			t.Run(fmt.Sprintf("%d/%s", version, name), func(t *testing.T) { test(t, r) })
		}
	}
}

func psqlClient(t *testing.T, r *running) {
	for _, dsn := range []string{r.dsn(), r.socketDSN()} {
		out, err := testenv.Command(t, nil, testenv.Tool(t, "psql"), "-X", "-w", "-At", "-d", dsn, "-c", "select current_user")
		if err != nil || out != "scram\n" {
			t.Errorf("%v: %s", err, out)
		}
	}
}

// sslmode=prefer and gssencmode=prefer try TLS and GSS first and fall back.
func psqlPrefer(t *testing.T, r *running) {
	dsn := strings.Replace(r.dsn(), "sslmode=disable", "sslmode=prefer gssencmode=prefer", 1)
	out, err := testenv.Command(t, nil, testenv.Tool(t, "psql"), "-X", "-w", "-At", "-d", dsn, "-c", "select 1")
	if err != nil || out != "1\n" {
		t.Errorf("%v: %s", err, out)
	}
}

func psqlRequire(t *testing.T, r *running) {
	dsn := strings.Replace(r.dsn(), "sslmode=disable", "sslmode=require", 1)
	out, err := testenv.Command(t, nil, testenv.Tool(t, "psql"), "-X", "-w", "-At", "-d", dsn, "-c", "select 1")
	if err == nil || !strings.Contains(out, "does not support SSL") {
		t.Errorf("%v: %s", err, out)
	}
}

// COPY in both directions, larger than every buffer on the way.
func psqlCopy(t *testing.T, r *running) {
	var rows bytes.Buffer
	for i := range 300_000 {
		fmt.Fprintf(&rows, "%d\t%s\n", i, strings.Repeat("x", i%100))
	}
	in := filepath.Join(r.dir, "rows-"+filepath.Base(t.Name()))
	if err := os.WriteFile(in, rows.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out := in + ".out"
	text, err := r.psql("-c", "create temp table t (n int, s text)", "-c", `\copy t from `+in, "-c", `\copy (select * from t order by n) to `+out)
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	got, err := os.ReadFile(out)
	if err != nil || !bytes.Equal(got, rows.Bytes()) {
		t.Errorf("%d bytes came back of %d, %v", len(got), rows.Len(), err)
	}
}

func pgbenchClient(t *testing.T, r *running) {
	bench := testenv.Tool(t, "pgbench")
	script := filepath.Join(r.dir, "script.sql")
	if err := os.WriteFile(script, []byte("select generate_series(1, 10);\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"simple", "extended", "prepared"} {
		for _, reconnect := range []string{"-n", "-C"} {
			out, err := testenv.Command(t, []string{"PGSSLMODE=disable"}, bench, "-n", reconnect, "-M", mode, "-f", script, "-c", "4", "-t", "50",
				"-h", "127.0.0.1", "-p", fmt.Sprint(r.port), "-U", "x", testenv.Database)
			if err != nil || !strings.Contains(out, "number of transactions actually processed: 200/200") {
				t.Errorf("%s %s: %v: %s", mode, reconnect, err, out)
			}
		}
	}
}

func pqClient(t *testing.T, r *running) {
	db, err := sql.Open("postgres", r.dsn())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var user string
	if err := db.QueryRowContext(t.Context(), "select current_user where $1 = 1", 1).Scan(&user); err != nil || user != "scram" {
		t.Errorf("%q, %v", user, err)
	}
}

func psycopg2Client(t *testing.T, r *running) {
	program := `
import psycopg2, sys
c = psycopg2.connect(sys.argv[1])
cur = c.cursor()
cur.execute("select current_user, %s", ("ok",))
print(*cur.fetchone())
`
	out, err := testenv.Command(t, nil, testenv.Psycopg2(t), "-c", program, r.dsn())
	if err != nil || out != "scram ok\n" {
		t.Errorf("%v: %s", err, out)
	}
}

func nodeClient(t *testing.T, r *running) {
	node, modules := testenv.NodePG(t)
	program := `
const { Client } = require('pg');
(async () => {
  const c = new Client({ host: '127.0.0.1', port: +process.argv[1], user: 'x', database: process.argv[2] });
  await c.connect();
  const r = await c.query('select current_user as u, $1::int as n', [7]);
  console.log(r.rows[0].u, r.rows[0].n);
  await c.end();
})().catch((e) => { console.log('failed', e.message); process.exit(1); });
`
	out, err := testenv.Command(t, []string{"NODE_PATH=" + modules}, node, "-e", program, fmt.Sprint(r.port), testenv.Database)
	if err != nil || out != "scram 7\n" {
		t.Errorf("%v: %s", err, out)
	}
}

func jdbcClient(t *testing.T, r *running) {
	java, jar := testenv.JDBC(t)
	if _, err := os.Stat(filepath.Join(filepath.Dir(java), "javac")); err != nil {
		if _, err := testenv.Command(t, nil, java, "--list-modules"); err != nil {
			t.Skip("java cannot run source files: no compiler module")
		}
	}
	program := filepath.Join(r.dir, "Query.java")
	source := `
import java.sql.*;
public class Query {
  public static void main(String[] args) throws Exception {
    try (Connection c = DriverManager.getConnection(args[0], "x", "");
         PreparedStatement s = c.prepareStatement("select current_user, ?::int")) {
      s.setInt(1, 7);
      ResultSet r = s.executeQuery();
      r.next();
      System.out.println(r.getString(1) + " " + r.getInt(2));
    }
  }
}
`
	if err := os.WriteFile(program, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("jdbc:postgresql://127.0.0.1:%d/%s?sslmode=disable", r.port, testenv.Database)
	out, err := testenv.Command(t, nil, java, "-cp", jar, program, url)
	if err != nil && strings.Contains(out, "jdk.compiler") {
		t.Skip("java cannot run source files: no compiler module")
	}
	if err != nil || out != "scram 7\n" {
		t.Errorf("%v: %s", err, out)
	}
}
