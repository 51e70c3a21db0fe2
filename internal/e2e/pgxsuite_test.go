//go:build unix

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"secretless/internal/testenv"
)

// notThroughTheBroker are tests of pgx's suite whose subject is something that
// a broker is there to change, with the reason.
var notThroughTheBroker = map[string]string{
	"github.com/jackc/pgx/v5/pgconn TestConnectInvalidUser": "expects a server to refuse an unknown user; the broker logs in as its own user, whatever the client says",
}

// tempDir is in the names of some subtests, and another one in each run.
var tempDir = regexp.MustCompile(`/[^' ]*/Test[^/]*/[0-9]+/`)

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
	dir := copyModule(t, "github.com/jackc/pgx/v5")
	r := start(t, service{server: server, user: admin})
	var direct, brokered map[string]string
	// Both at once: half of the suite's time is spent waiting.
	t.Run("both", func(t *testing.T) {
		t.Run("direct", func(t *testing.T) {
			t.Parallel()
			login := fmt.Sprintf("user=%s password=%s", admin.Name, admin.Password)
			direct = runSuite(t, dir, "dbname="+freshDatabase(t, server, "pgx_direct")+" "+login,
				fmt.Sprintf("host=127.0.0.1 port=%d", server.Port), fmt.Sprintf("host=%s port=%d", server.SocketDir(), server.Port))
		})
		t.Run("brokered", func(t *testing.T) {
			t.Parallel()
			brokered = runSuite(t, dir, "dbname="+freshDatabase(t, server, "pgx_brokered")+" user="+admin.Name,
				fmt.Sprintf("host=127.0.0.1 port=%d", r.port), fmt.Sprintf("host=%s port=5432", r.dir))
		})
	})
	compare(t, direct, brokered)
}

// compare reports every test that passes directly and does not through the
// broker.
func compare(t *testing.T, direct, brokered map[string]string) {
	t.Helper()
	count := func(m map[string]string, action string) (n int) {
		for _, a := range m {
			if a == action {
				n++
			}
		}
		return n
	}
	t.Logf("direct: %d passed, %d failed, %d skipped; brokered: %d passed, %d failed, %d skipped",
		count(direct, "pass"), count(direct, "fail"), count(direct, "skip"),
		count(brokered, "pass"), count(brokered, "fail"), count(brokered, "skip"))
	if count(direct, "pass") < 1000 {
		t.Errorf("only %d tests passed directly: did the suite run?", count(direct, "pass"))
	}
	for _, name := range slices.Sorted(maps.Keys(direct)) {
		if direct[name] == "fail" {
			t.Logf("%s: fails directly, through the broker: %q", name, brokered[name])
		}
		if direct[name] == "pass" && brokered[name] != "pass" && notThroughTheBroker[name] == "" {
			t.Errorf("%s: passes directly, through the broker: %q", name, brokered[name])
		}
	}
}

// copyModule copies a module out of the cache, to run its tests in.
func copyModule(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", path).Output()
	if err != nil {
		t.Fatalf("finding %s: %v", path, err)
	}
	dir := filepath.Join(t.TempDir(), "suite")
	if err := os.CopyFS(dir, os.DirFS(strings.TrimSpace(string(out)))); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, 0o755)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
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

// runSuite runs the suite and returns each test's result. The connection
// strings are for whom to connect as, and for where to, over TCP and a socket.
func runSuite(t *testing.T, dir, login, tcp, unix string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	// TestConnectTimeout dials an address outside this machine.
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-json", "-skip", "^TestConnectTimeout", "-p", "1",
		".", "./pgconn/...", "./pgxpool/...", "./pgtype/...", "./stdlib/...", "./tracelog/...", "./multitracer/...")
	cmd.Dir = dir
	tcp, unix = tcp+" "+login, unix+" "+login
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off",
		"PGX_TEST_DATABASE="+tcp, "PGX_TEST_TCP_CONN_STRING="+tcp, "PGX_TEST_UNIX_SOCKET_CONN_STRING="+unix,
		"PGX_TEST_PLAIN_PASSWORD_CONN_STRING="+tcp, "PGX_TEST_MD5_PASSWORD_CONN_STRING="+tcp,
		"PGX_TEST_SCRAM_PASSWORD_CONN_STRING="+tcp)
	out, err := cmd.Output()
	if ctx.Err() != nil {
		t.Fatal("the suite does not end")
	}
	results := map[string]string{}
	for line := range bytes.Lines(out) {
		var e struct {
			Action, Package, Test string
			Elapsed               float64
		}
		if json.Unmarshal(line, &e) == nil && e.Test != "" && slices.Contains([]string{"pass", "fail", "skip"}, e.Action) {
			results[e.Package+" "+tempDir.ReplaceAllString(e.Test, "/")] = e.Action
			if e.Elapsed > 5 {
				t.Logf("%s %s takes %.0f s", e.Package, e.Test, e.Elapsed)
			}
		}
	}
	if len(results) == 0 {
		t.Fatalf("the suite did not run: %v: %s", err, out)
	}
	return results
}
