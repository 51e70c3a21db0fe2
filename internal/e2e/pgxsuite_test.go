//go:build unix

package e2e

import (
	"fmt"
	"testing"

	"secretless/internal/testenv"
)

var pgxSuite = suite{
	module:   "github.com/jackc/pgx/v5",
	packages: []string{".", "./pgconn/...", "./pgxpool/...", "./pgtype/...", "./stdlib/...", "./tracelog/...", "./multitracer/..."},
	skip:     "^TestConnectTimeout",
	least:    1000,
	notThroughTheBroker: map[string]string{
		"github.com/jackc/pgx/v5/pgconn TestConnectInvalidUser": "expects a server to refuse an unknown user; the broker logs in as its own user, whatever the client says",
	},
}

// pgx's own test suite, run directly and through the broker: it fails nowhere
// through the broker that it does not fail directly.
func TestPgxSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes; not with -short")
	}
	server := testenv.NewPostgres(t, testenv.PG{Version: 18})
	admin := server.Users.Admin
	for _, statement := range []string{
		`create role pgx_reader`, `create role root superuser login`, `create role postgres superuser`,
		`create role " tricky, ' } "" \ test user " superuser password 'secret'`,
	} {
		server.Exec(t, statement)
	}
	r := start(t, service{server: server, user: admin})
	pgxSuite.compare(t, func(t *testing.T) []string {
		login := fmt.Sprintf("dbname=%s user=%s password=%s", freshDatabase(t, server, "pgx_direct"), admin.Name, admin.Password)
		return pgxVariables(login, fmt.Sprintf("host=127.0.0.1 port=%d", server.Port),
			fmt.Sprintf("host=%s port=%d", server.SocketDir(), server.Port))
	}, func(t *testing.T) []string {
		login := fmt.Sprintf("dbname=%s user=%s", freshDatabase(t, server, "pgx_brokered"), admin.Name)
		return pgxVariables(login, fmt.Sprintf("host=127.0.0.1 port=%d", r.port), fmt.Sprintf("host=%s port=5432", r.dir))
	})
}

// pgxVariables are connection strings: for whom to connect as, and for where
// to, over TCP and a socket.
func pgxVariables(login, tcp, unix string) []string {
	tcp, unix = tcp+" "+login, unix+" "+login
	return []string{
		"PGX_TEST_DATABASE=" + tcp, "PGX_TEST_TCP_CONN_STRING=" + tcp, "PGX_TEST_UNIX_SOCKET_CONN_STRING=" + unix,
		"PGX_TEST_PLAIN_PASSWORD_CONN_STRING=" + tcp, "PGX_TEST_MD5_PASSWORD_CONN_STRING=" + tcp,
		"PGX_TEST_SCRAM_PASSWORD_CONN_STRING=" + tcp,
	}
}

func freshDatabase(t *testing.T, server *testenv.Server, name string) string {
	t.Helper()
	server.Exec(t, "create database "+name)
	dsn := server.DSN(server.Users.Admin, "dbname="+name)
	conn := connect(t, dsn)
	for _, statement := range []string{"create extension hstore", "create extension ltree", "create domain uint64 as numeric(20,0)"} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return name
}
