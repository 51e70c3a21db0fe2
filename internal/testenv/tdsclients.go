package testenv

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TDSPlace is where clients of SQL Server connect on this machine, and as whom.
type TDSPlace struct {
	Port     int
	Socket   string // for clients that can; empty where there is none
	User     string
	Password string
	Database string
}

// TSQL runs input with FreeTDS' own client; settings are lines of its
// configuration. It returns what was printed on both outputs.
func (p TDSPlace) TSQL(t testing.TB, settings, input string) (string, error) {
	t.Helper()
	conf := fmt.Sprintf("[global]\nclient charset = UTF-8\nconnect timeout = 10\n[test]\nhost = 127.0.0.1\nport = %d\n%s\n", p.Port, settings)
	return fed(t, []string{"FREETDSCONF=" + WriteFile(t, "freetds.conf", conf)}, input,
		Tool(t, "tsql"), "-S", "test", "-U", p.User, "-P", p.Password, "-D", p.Database, "-o", "fqh", "-t", "|")
}

// ISQL runs input, a statement a line, with unixODBC and FreeTDS' driver;
// settings are more of the connection string.
func (p TDSPlace) ISQL(t testing.TB, settings, input string) (string, error) {
	t.Helper()
	isql, driver := ODBC(t, "libtdsodbc.so")
	// The driver is named by its path: that needs no configuration.
	connection := fmt.Sprintf("Driver=%s;Server=127.0.0.1;Port=%d;UID=%s;PWD=%s;Database=%s;%s", driver, p.Port, p.User, p.Password, p.Database, settings)
	return fed(t, nil, input, isql, "-k", connection, "-b", "-v")
}

// fed runs a program that reads its statements from standard input.
func fed(t testing.TB, vars []string, input, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append([]string{"HOME=" + t.TempDir(), "LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin"}, vars...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s does not end: %s", name, out)
	}
	return string(out), err
}

// tediousPrelude is what programs for Tedious may use: open connects, run
// answers with the rows of a statement, once says that a callback was called
// without an error.
const tediousPrelude = `
const { Connection, Request, TYPES } = require('tedious');
const crypto = require('crypto'), fs = require('fs'), net = require('net');
const [port, socket, userName, password, database, ca] = process.argv.slice(1);
const open = (options = {}, login = {}) => new Promise((resolve, reject) => {
  const c = new Connection({
    server: '127.0.0.1',
    authentication: { type: 'default', options: { userName, password, ...login } },
    options: { ...(options.connector ? {} : { port: +port }), database, encrypt: false, connectTimeout: 20000, ...options },
  });
  c.on('error', () => {});
  c.connect((e) => (e ? reject(e) : resolve(c)));
});
const overSocket = { connector: () => new Promise((resolve, reject) => {
  const s = net.connect(socket, () => resolve(s));
  s.once('error', reject);
}) };
const run = (c, text, parameters = [], started = () => {}) => new Promise((resolve, reject) => {
  const rows = [];
  const r = new Request(text, (e) => (e ? reject(e) : resolve(rows)));
  r.on('row', (columns) => rows.push(columns.map((x) => x.value)));
  for (const [name, type, value] of parameters) r.addParameter(name, type, value);
  c.execSql(r);
  started(r);
});
const once = (start) => new Promise((done, failed) => start((e) => (e ? failed(e) : done())));
`

// Tedious runs a program with node's driver, after tediousPrelude; ca is the
// file with the test's authority. It returns what was printed.
func (p TDSPlace) Tedious(t testing.TB, program string) (string, error) {
	t.Helper()
	node, modules := NodeModule(t, "tedious")
	ca := WriteFile(t, "ca.pem", CA(t).CAPEM)
	program = tediousPrelude + "(async () => {" + program + "})().catch((e) => { console.log('failed', e); process.exit(1); });"
	return Command(t, []string{"NODE_PATH=" + modules, "NODE_NO_WARNINGS=1"}, node, "-e", program,
		fmt.Sprint(p.Port), p.Socket, p.User, p.Password, p.Database, ca)
}

const jtdsProgram = `
import java.sql.*;
public class Query {
  public static void main(String[] args) throws Exception {
    Class.forName("net.sourceforge.jtds.jdbc.Driver");
    for (int i = 2; i < args.length; i++) {
      try (Connection c = DriverManager.getConnection(args[i], args[0], args[1]);
           PreparedStatement s = c.prepareStatement("select suser_name(), db_name(), ?, ?")) {
        s.setInt(1, 7);
        s.setString(2, "text");
        ResultSet r = s.executeQuery();
        r.next();
        System.out.println(r.getString(1) + " " + r.getString(2) + " " + r.getInt(3) + " " + r.getString(4));
      } catch (SQLException e) {
        System.out.println(e.getErrorCode() + " " + e.getSQLState() + " " + e.getMessage());
      }
    }
  }
}
`

// JTDS connects with the jTDS driver, which speaks TDS 7.1, once for each of
// the options, which are the driver's own. It asks for the login's name, the
// database and two parameters, 7 and text, and returns a line for each
// connection: these four, or the error's number, SQLSTATE and text.
func (p TDSPlace) JTDS(t testing.TB, options ...string) string {
	t.Helper()
	java, jar := JTDS(t)
	args := []string{"-cp", jar, WriteFile(t, "Query.java", jtdsProgram), p.User, p.Password}
	for _, o := range options {
		args = append(args, fmt.Sprintf("jdbc:jtds:sqlserver://127.0.0.1:%d/%s;%s", p.Port, p.Database, o))
	}
	out, err := Command(t, nil, java, args...)
	if err != nil && strings.Contains(out, "jdk.compiler") {
		t.Skip("java cannot run source files: no compiler module")
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return out
}
