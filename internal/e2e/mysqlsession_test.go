//go:build unix

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"secretless/internal/testenv"
)

// What a session can do: the same things directly, through the broker in front
// of MariaDB, and through the broker in front of what logs in as MySQL 8 does.
func TestMySQLSessions(t *testing.T) {
	everywhere(t, map[string]func(*testing.T, mysqlPlace){
		"multi statements": mysqlMultiStatements, "local infile": mysqlLocalInfile, "large packets": mysqlLargePackets,
		"prepared statements": mysqlPrepared, "compression": mysqlCompression, "statement errors": mysqlStatementErrors,
	})
}

// everywhere runs the tests on the three ways to the same MariaDB. Directly,
// they show that the test itself is right.
func everywhere(t *testing.T, tests map[string]func(*testing.T, mysqlPlace)) {
	t.Helper()
	server := testenv.MariaDB(t, testenv.Maria{})
	u := server.Users.Native
	for where, place := range map[string]func(*testing.T) mysqlPlace{
		"direct": func(*testing.T) mysqlPlace {
			return mysqlPlace{port: server.Port, socket: server.Socket(), user: u.Name, password: u.Password, is: u.Name}
		},
		"mariadb": func(t *testing.T) mysqlPlace {
			return startMySQL(t, mysqlService{user: u, port: server.Port, sslmode: "require"}).place(u.Name)
		},
		"mysql 8": func(t *testing.T) mysqlPlace {
			facade := testenv.MySQLFacade(t, testenv.Facade{FullAuth: true})
			p := startMySQL(t, mysqlService{user: u, port: facade.Port, sslmode: "require"}).place(u.Name)
			p.mysql8 = true
			return p
		},
	} {
		t.Run(where, func(t *testing.T) {
			p := place(t)
			for name, test := range tests {
				t.Run(name, func(t *testing.T) { test(t, p) })
			}
		})
	}
}

func mysqlMultiStatements(t *testing.T, p mysqlPlace) {
	config := p.config()
	config.MultiStatements = true
	rows, err := openMySQL(t, config).QueryContext(t.Context(), "select 1; select 2; do 1; select 3")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var got []int
	for more := true; more; more = rows.NextResultSet() {
		for rows.Next() {
			var n int
			if err := rows.Scan(&n); err != nil {
				t.Fatal(err)
			}
			got = append(got, n)
		}
	}
	if fmt.Sprint(got) != "[1 2 3]" || rows.Err() != nil {
		t.Errorf("got %v, %v", got, rows.Err())
	}
}

// The server asks for the file in the middle of a command, and the client
// sends it in packets of its own.
func mysqlLocalInfile(t *testing.T, p mysqlPlace) {
	var lines bytes.Buffer
	for i := range 200_000 {
		fmt.Fprintf(&lines, "%d\t%s\n", i, strings.Repeat("x", i%50))
	}
	name := strings.ReplaceAll(t.Name(), "/", "-")
	mysql.RegisterReaderHandler(name, func() io.Reader { return bytes.NewReader(lines.Bytes()) })
	defer mysql.DeregisterReaderHandler(name)
	db := openMySQL(t, p.config())
	var count, length int
	for _, statement := range []string{
		"create temporary table loaded (n int, s varchar(60))",
		"load data local infile 'Reader::" + name + "' into table loaded",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	row := db.QueryRowContext(t.Context(), "select count(*), sum(length(s)) from loaded")
	if err := row.Scan(&count, &length); err != nil || count != 200_000 || length != 4_900_000 {
		t.Errorf("%d rows, %d bytes, %v", count, length, err)
	}
}

// More than a packet's 16 MiB is split, in both directions, and a multiple of
// it ends in an empty packet.
func mysqlLargePackets(t *testing.T, p mysqlPlace) {
	db := openMySQL(t, p.config())
	for _, size := range []int{20 << 20, 1<<24 - 1 - 10, 1<<24 - 1} {
		blob := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{}).Read(blob)
		var back []byte
		if err := db.QueryRowContext(t.Context(), "select ?", blob).Scan(&back); err != nil || !bytes.Equal(blob, back) {
			t.Fatalf("%d bytes out, %d back, %v", size, len(back), err)
		}
	}
}

func mysqlPrepared(t *testing.T, p mysqlPlace) {
	statement, err := openMySQL(t, p.config()).PrepareContext(t.Context(), "select name from fruit where id = ?")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = statement.Close() }()
	for id, want := range []string{1: "apple", 2: "pear", 3: "quince"} {
		var got string
		if err := statement.QueryRowContext(t.Context(), id).Scan(&got); id > 0 && (err != nil || got != want) {
			t.Errorf("%d is %q, %v; want %q", id, got, err, want)
		}
	}
}

// Compression may be negotiated end to end or not at all; what is sent arrives
// either way.
func mysqlCompression(t *testing.T, p mysqlPlace) {
	config := p.config()
	if err := config.Apply(mysql.EnableCompression(true)); err != nil {
		t.Fatal(err)
	}
	db := openMySQL(t, config)
	long := strings.Repeat("compress me ", 1<<20)
	var back, name, state string
	if err := db.QueryRowContext(t.Context(), "select ?", long).Scan(&back); err != nil || back != long {
		t.Errorf("%d bytes came back of %d, %v", len(back), len(long), err)
	}
	if err := db.QueryRowContext(t.Context(), "show status like 'Compression'").Scan(&name, &state); err != nil {
		t.Error(err)
	}
	t.Logf("compression is %s", state)
}

func mysqlStatementErrors(t *testing.T, p mysqlPlace) {
	db := openMySQL(t, p.config())
	for statement, want := range map[string]string{
		"select * from nonesuch": "Error 1146 (42S02): Table 'app.nonesuch' doesn't exist",
		"use nonesuch":           "Error 1044 (42000): Access denied for user '" + p.is + "'@'%' to database 'nonesuch'",
		"signal sqlstate '45000' set message_text = 'mine', mysql_errno = 12345": "Error 12345 (45000): mine",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", statement, err, want)
		}
	}
}

// The session is the client's: its attributes, its character set, its flags.
func TestMySQLSessionIsTheClients(t *testing.T) {
	server := testenv.MariaDB(t, testenv.Maria{Options: "--performance-schema=ON"})
	p := startMySQL(t, mysqlService{user: server.Users.Admin, port: server.Port}).place("")
	config := p.config()
	config.ConnectionAttributes = "program_name:e2e-test"
	config.Collation = "latin1_swedish_ci"
	config.ClientFoundRows = true
	db := openMySQL(t, config)
	for query, want := range map[string]string{
		"select @@collation_connection": "latin1_swedish_ci",
		"select attr_value from performance_schema.session_connect_attrs where processlist_id = connection_id() and attr_name = 'program_name'": "e2e-test",
		"select database()": testenv.Database,
	} {
		var got string
		if err := db.QueryRowContext(t.Context(), query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", query, got, err, want)
		}
	}
	found, err := db.ExecContext(t.Context(), "update fruit set name = 'apple' where id = 1")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := found.RowsAffected(); err != nil || n != 1 {
		t.Errorf("an update that changes nothing found %d rows, %v; want 1", n, err)
	}
}
