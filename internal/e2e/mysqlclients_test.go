//go:build unix

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"secretless/internal/testenv"
)

// Real clients, each with what it does at the start that others do not.
func TestMySQLClients(t *testing.T) {
	everywhere(t, map[string]func(*testing.T, mysqlPlace){
		"mariadb": mariadbClient, "mariadb local infile": mariadbInfile, "pymysql": pymysqlClient, "mysqldb": mysqldbClient,
		"mysql2": mysql2Client, "jdbc": mariadbJDBC, "odbc": mariadbODBC,
	})
}

// mariadb runs MariaDB's command line client.
func (p mysqlPlace) mariadb(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return testenv.Command(t, []string{"MYSQL_PWD=" + p.password}, testenv.Tool(t, "mariadb"), append([]string{
		"--no-defaults", "--batch", "--skip-column-names", "--user=" + p.user, "--database=" + testenv.Database,
	}, args...)...)
}

func (p mysqlPlace) tcp() []string {
	return []string{"--host=127.0.0.1", fmt.Sprintf("--port=%d", p.port), "--protocol=TCP"}
}

func mariadbClient(t *testing.T, p mysqlPlace) {
	query := "--execute=select current_user(); select name from fruit where id = 3"
	for _, way := range [][]string{p.tcp(), {"--socket=" + p.socket}, append(p.tcp(), "--compress")} {
		out, err := p.mariadb(t, append(way, query)...)
		if err != nil || out != p.is+"@%\nquince\n" {
			t.Errorf("%s: %v: %s", way, err, out)
		}
	}
	out, err := p.mariadb(t, append(p.tcp(), "--default-character-set=latin1", "--execute=select @@character_set_client, hex('é')")...)
	if err != nil || out != "latin1\tC3A9\n" {
		t.Errorf("%v: %s", err, out)
	}
	out, err = p.mariadb(t, append(p.tcp(), "--execute=use nonesuch")...)
	if err == nil || !strings.HasPrefix(out, "ERROR 1044 (42000) at line 1: Access denied") {
		t.Errorf("%v: %s", err, out)
	}
}

func mariadbInfile(t *testing.T, p mysqlPlace) {
	file := testenv.WriteFile(t, "rows", strings.Repeat("7\tseven\n", 100_000))
	out, err := p.mariadb(t, append(p.tcp(), "--local-infile=1",
		"--execute=create temporary table l (n int, s text); load data local infile '"+file+"' into table l; select sum(n), max(s) from l")...)
	if err != nil || out != "700000\tseven\n" {
		t.Errorf("%v: %s", err, out)
	}
}

func pymysqlClient(t *testing.T, p mysqlPlace) {
	program := `
import pymysql, sys
port, socket, user, password = sys.argv[1:]
for where in ({"host": "127.0.0.1", "port": int(port)}, {"unix_socket": socket}):
    c = pymysql.connect(user=user, password=password, database="app", **where)
    k = c.cursor()
    k.execute("select current_user(), %s", ("ok",))
    print(*k.fetchone())
    try:
        k.execute("select * from nonesuch")
    except pymysql.err.ProgrammingError as e:
        print(e.args[0])
    c.close()
`
	expectPython(t, p, "pymysql", program)
}

func mysqldbClient(t *testing.T, p mysqlPlace) {
	program := `
import MySQLdb, sys
port, socket, user, password = sys.argv[1:]
for where in ({"host": "127.0.0.1", "port": int(port)}, {"unix_socket": socket}):
    c = MySQLdb.connect(user=user, password=password, database="app", **where)
    k = c.cursor()
    k.execute("select current_user(), %s", ("ok",))
    print(*k.fetchone())
    try:
        k.execute("select * from nonesuch")
    except MySQLdb.ProgrammingError as e:
        print(e.args[0])
    c.close()
`
	expectPython(t, p, "MySQLdb", program)
}

func expectPython(t *testing.T, p mysqlPlace, module, program string) {
	t.Helper()
	out, err := testenv.Command(t, nil, testenv.PythonModule(t, module), "-c", program, fmt.Sprint(p.port), p.socket, p.user, p.password)
	if want := strings.Repeat(p.is+"@% ok\n1146\n", 2); err != nil || out != want {
		t.Errorf("%v: %s; want %s", err, out, want)
	}
}

// runMySQL2 gives a program of node's the options to connect with.
func runMySQL2(t *testing.T, p mysqlPlace, program string) (string, error) {
	t.Helper()
	node, modules := testenv.NodeModule(t, "mysql2")
	return testenv.Command(t, []string{"NODE_PATH=" + modules}, node, "-e", `
const mysql = require('mysql2/promise');
const [port, socketPath, user, password] = process.argv.slice(1);
const tcp = { host: '127.0.0.1', port: +port, user, password, database: 'app', multipleStatements: true, connectTimeout: 20000 };
const unix = { ...tcp, socketPath };
(async () => {`+program+`})().catch((e) => { console.log('failed', e.errno, e.code, e.message); process.exit(1); });
`, fmt.Sprint(p.port), p.socket, p.user, p.password)
}

func mysql2Client(t *testing.T, p mysqlPlace) {
	out, err := runMySQL2(t, p, `
  for (const where of [tcp, unix]) {
    const c = await mysql.createConnection(where);
    const [rows] = await c.query('select current_user() as v; select 2 as v');
    const [prepared] = await c.execute('select name from fruit where id = ?', [2]);
    console.log(rows[0][0].v, rows[1][0].v, prepared[0].name);
    await c.query('select * from nonesuch').catch((e) => console.log(e.errno));
    await c.end();
  }`)
	if want := strings.Repeat(p.is+"@% 2 pear\n1146\n", 2); err != nil || out != want {
		t.Errorf("%v: %s; want %s", err, out, want)
	}
}

func mariadbJDBC(t *testing.T, p mysqlPlace) {
	java, jar := testenv.MariaDBJDBC(t)
	program := filepath.Join(t.TempDir(), "Query.java")
	source := `
import java.sql.*;
public class Query {
  public static void main(String[] args) throws Exception {
    try (Connection c = DriverManager.getConnection(args[0], args[1], args[2]);
         PreparedStatement s = c.prepareStatement("select current_user(), name from fruit where id = ?")) {
      s.setInt(1, 1);
      ResultSet r = s.executeQuery();
      r.next();
      System.out.println(r.getString(1) + " " + r.getString(2));
    }
  }
}
`
	if err := os.WriteFile(program, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, option := range []string{"useServerPrepStmts=true", "allowMultiQueries=true&useCompression=true"} {
		url := fmt.Sprintf("jdbc:mariadb://127.0.0.1:%d/%s?%s", p.port, testenv.Database, option)
		out, err := testenv.Command(t, nil, java, "-cp", jar, program, url, p.user, p.password)
		if err != nil && strings.Contains(out, "jdk.compiler") {
			t.Skip("java cannot run source files: no compiler module")
		}
		if err != nil || out != p.is+"@% apple\n" {
			t.Errorf("%s: %v: %s", option, err, out)
		}
	}
}

func mariadbODBC(t *testing.T, p mysqlPlace) {
	if p.mysql8 {
		t.Skip("asks MySQL 8 for transaction_isolation, which the MariaDB behind the façade does not have")
	}
	isql, driver := testenv.ODBC(t, "libmaodbc.so")
	queries := testenv.WriteFile(t, "queries", "select current_user()\nselect name from fruit where id = 2\n")
	out, err := testenv.Command(t, nil, "/bin/sh", "-c", `exec "$1" -k "$2" -b -v -d, <"$3"`, "sh", isql,
		fmt.Sprintf("Driver=%s;Server=127.0.0.1;Port=%d;User=%s;Password=%s;Database=%s", driver, p.port, p.user, p.password, testenv.Database), queries)
	if err != nil || !strings.Contains(out, p.is+"@%\n") || !strings.Contains(out, "pear\n") {
		t.Errorf("%v: %s", err, out)
	}
}

// Connector/ODBC asks for variables by the version it was greeted with.
func TestMySQLFirstClientIsGreetedAsByTheTarget(t *testing.T) {
	server := testenv.MariaDB(t, testenv.Maria{})
	u := server.Users.Native
	mariadbODBC(t, startMySQL(t, mysqlService{user: u, port: server.Port}).place(u.Name))
}

// A dump is the same through the broker, byte for byte.
func TestMySQLDump(t *testing.T) {
	server := testenv.MariaDB(t, testenv.Maria{})
	u := server.Users.Native
	server.Exec(t, "create table if not exists app.dumped (n int primary key, b longblob, s varchar(100))",
		"insert ignore into app.dumped with recursive n as (select 1 as i union all select i + 1 from n where i < 500)"+
			" select i, repeat(unhex('00ff0a27'), i * 5), concat('été ', i) from n")
	dump := func(p mysqlPlace) string {
		out, err := testenv.Command(t, []string{"MYSQL_PWD=" + p.password}, testenv.Tool(t, "mariadb-dump"), append([]string{
			"--no-defaults", "--user=" + p.user, "--skip-dump-date", "--single-transaction", "--hex-blob", testenv.Database, "dumped", "fruit",
		}, p.tcp()...)...)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return out
	}
	direct := dump(mysqlPlace{port: server.Port, user: u.Name, password: u.Password})
	if len(direct) < 1<<20 || !strings.Contains(direct, "'quince'") {
		t.Fatalf("the dump has only %d bytes", len(direct))
	}
	// The dump says which version the server has.
	r := startMySQL(t, mysqlService{user: u, port: server.Port, sslmode: "require"})
	if brokered := dump(r.place(u.Name)); brokered != direct {
		t.Errorf("the dump through the broker has %d bytes, directly %d, and differs:\n%.500s\n%.500s", len(brokered), len(direct), brokered, direct)
	}
}

// The broker's listener offers no TLS: a client that insists on it fails with
// its own words, as with a server without TLS; one that only prefers it goes on.
func TestMySQLClientsWishForTLS(t *testing.T) {
	noTLS := testenv.MariaDB(t, testenv.Maria{NoTLS: true})
	u := noTLS.Users.Native
	direct := mysqlPlace{port: noTLS.Port, socket: noTLS.Socket(), user: u.Name, password: u.Password, is: u.Name}
	server := testenv.MariaDB(t, testenv.Maria{})
	brokered := startMySQL(t, mysqlService{user: u, port: server.Port, sslmode: "require"}).place(u.Name)
	ca := testenv.WriteFile(t, "ca.pem", server.CA.CAPEM)
	for _, wish := range [][]string{
		{"--skip-ssl"}, {"--ssl"}, {"--ssl", "--ssl-verify-server-cert"}, {"--ssl-ca=" + ca}, {"--ssl-ca=" + ca, "--ssl-verify-server-cert"},
	} {
		args := append(direct.tcp(), append(wish, "--execute=select current_user()")...)
		want, wantErr := direct.mariadb(t, args...)
		args = append(brokered.tcp(), append(wish, "--execute=select current_user()")...)
		got, err := brokered.mariadb(t, args...)
		if got != want || (err == nil) != (wantErr == nil) {
			t.Errorf("%s: %v: %s; a server without TLS: %v: %s", wish, err, got, wantErr, want)
		}
	}
	for name, c := range map[string]struct{ tls, want string }{
		"preferred": {"preferred", ""}, "skip-verify": {"skip-verify", "does not support TLS"},
	} {
		config := brokered.config()
		config.TLSConfig = c.tls
		_, err := testenv.Connect(t, config)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("go, %s: %v, want %q", name, err, c.want)
		}
	}
	out, err := runMySQL2(t, brokered, `await mysql.createConnection({ ...tcp, ssl: { rejectUnauthorized: false } })`)
	if err == nil || !strings.Contains(out, "does not support secure connection") {
		t.Errorf("mysql2: %v: %s", err, out)
	}
}

// What each driver makes of a refusal: the target's number and words.
func TestMySQLClientsShowTheRefusal(t *testing.T) {
	server := testenv.MariaDB(t, testenv.Maria{})
	u := server.Users.Native
	u.Password = "wrong-" + u.Password
	p := startMySQL(t, mysqlService{user: u, port: server.Port}).place(u.Name)
	python := func(module string) func() (string, error) {
		return func() (string, error) {
			return testenv.Command(t, nil, testenv.PythonModule(t, module), "-c",
				"import sys, "+module+" as m; m.connect(host='127.0.0.1', port=int(sys.argv[1]), user='x', password='y', database='app')", fmt.Sprint(p.port))
		}
	}
	for name, c := range map[string]struct {
		run  func() (string, error)
		want string
	}{
		"mariadb": {func() (string, error) { return p.mariadb(t, append(p.tcp(), "--execute=select 1")...) }, "ERROR 1045 (28000): Access denied for user 'native'"},
		"pymysql": {python("pymysql"), `OperationalError: (1045, "Access denied for user 'native'`},
		"mysqldb": {python("MySQLdb"), `OperationalError: (1045, "Access denied for user 'native'`},
		"mysql2":  {func() (string, error) { return runMySQL2(t, p, `await mysql.createConnection(tcp)`) }, "failed 1045 ER_ACCESS_DENIED_ERROR Access denied for user 'native'"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := c.run()
			if err == nil || !strings.Contains(out, c.want) {
				t.Errorf("%v: %s; want %s", err, out, c.want)
			}
		})
	}
}

// COM_CHANGE_USER would log in with what the client knows. The target refuses
// that, as it must, and says so.
func TestMySQLChangeUserIsRefused(t *testing.T) {
	server := testenv.MariaDB(t, testenv.Maria{})
	u := server.Users.Native
	p := startMySQL(t, mysqlService{user: u, port: server.Port}).place(u.Name)
	out, err := runMySQL2(t, p, `
  const c = await mysql.createConnection(tcp);
  await c.changeUser({ user, password, database: 'app' })`)
	if err == nil || !strings.Contains(out, "failed 1045 ER_ACCESS_DENIED_ERROR Access denied for user 'somebody'") {
		t.Errorf("%v: %s", err, out)
	}
}
