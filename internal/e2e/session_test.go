//go:build unix

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"secretless/internal/testenv"
)

// Cancel requests of drivers and of psql reach the query, over plain and over
// encrypted connections, with short and with long cancel keys.
func TestCancel(t *testing.T) {
	for _, version := range []int{15, 18} {
		server := testenv.Postgres(t, testenv.PG{Version: version})
		for _, mode := range []string{"disable", "require"} {
			t.Run(fmt.Sprintf("%d/%s", version, mode), func(t *testing.T) {
				t.Parallel()
				r := start(t, service{server: server, user: server.Users.SCRAM, sslmode: mode})
				cancelFromPgx(t, r.dsn())
				cancelFromPgx(t, r.socketDSN())
				if version >= 18 {
					cancelFromPgx(t, r.dsn("max_protocol_version=3.2"))
				}
				cancelFromPsql(t, r)
			})
		}
	}
}

func cancelFromPgx(t *testing.T, dsn string) {
	t.Helper()
	conn := connect(t, dsn)
	failed := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "select pg_sleep(60)")
		failed <- err
	}()
	for end := time.Now().Add(patience); ; {
		ctx, done := context.WithTimeout(context.Background(), patience)
		if err := conn.PgConn().CancelRequest(ctx); err != nil {
			t.Errorf("cancel request: %v", err)
		}
		done()
		select {
		case err := <-failed:
			if err == nil || !strings.Contains(err.Error(), "57014") {
				t.Errorf("the query ended with %v, want 57014", err)
			}
			return
		case <-time.After(100 * time.Millisecond): // it may not have begun yet
		}
		if time.Now().After(end) {
			t.Fatal("the query is not cancelled")
		}
	}
}

func cancelFromPsql(t *testing.T, r *running) {
	t.Helper()
	var out buffer
	cmd := exec.CommandContext(t.Context(), testenv.Tool(t, "psql"), "-X", "-w", "-d", r.dsn(),
		"-c", "select 'before'", "-c", "select pg_sleep(60)")
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	r.eventually("psql to print", func() bool { return out.has("before") })
	for end := time.Now().Add(patience); ; {
		_ = cmd.Process.Signal(syscall.SIGINT)
		select {
		case <-ended:
			if !out.has("canceling statement due to user request") {
				t.Errorf("psql printed %s", out.String())
			}
			return
		case <-time.After(200 * time.Millisecond):
		}
		if time.Now().After(end) {
			_ = cmd.Process.Kill()
			t.Fatal("psql is not cancelled")
		}
	}
}

// A client that sends its cancel request and leaves, as many do, is obeyed even
// where the target takes its time to answer.
func TestCancelAndLeave(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	received := make(chan []byte, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		_, _ = io.ReadFull(c, make([]byte, 8)) // SSLRequest
		time.Sleep(1500 * time.Millisecond)
		_, _ = c.Write([]byte{'N'})
		request := make([]byte, 16)
		_, _ = io.ReadFull(c, request)
		received <- request
	}()
	server := testenv.Postgres(t, testenv.PG{})
	r := start(t, service{server: server, user: server.Users.SCRAM, sslmode: "prefer", port: l.Addr().(*net.TCPAddr).Port})
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.port))
	if err != nil {
		t.Fatal(err)
	}
	request := []byte{0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e, 0, 0, 0, 7, 1, 2, 3, 4}
	_, _ = c.Write(request)
	_ = c.Close()
	select {
	case got := <-received:
		if !bytes.Equal(got, request) {
			t.Errorf("the target got %x, want %x", got, request)
		}
	case <-time.After(patience):
		t.Error("the request is lost")
	}
}

// Startup parameters come from both sides; enforce makes the broker's win.
func TestStartupParameters(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	r := start(t, service{
		server: server, user: server.Users.SCRAM,
		more:     []string{"application_name: from-broker", "search_path: broker_schema", "statement_timeout: 7000"},
		settings: []string{"config: { enforce: [statement_timeout] }"},
	})
	show := func(conn *pgx.Conn, name string) (v string) {
		if err := conn.QueryRow(t.Context(), "show "+name).Scan(&v); err != nil {
			t.Error(err)
		}
		return v
	}
	plain := connect(t, r.dsn())
	if got := show(plain, "application_name") + show(plain, "search_path") + show(plain, "statement_timeout"); got != "from-brokerbroker_schema7s" {
		t.Errorf("without the client's own: %s", got)
	}
	own := connect(t, r.dsn("application_name=own", "statement_timeout=1"))
	if got := show(own, "application_name") + show(own, "statement_timeout"); got != "own7s" {
		t.Errorf("with the client's own: %s", got)
	}
}

// The credential database overrides what the client asks for.
func TestDatabaseOverride(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	r := start(t, service{server: server, user: server.Users.SCRAM, more: []string{"database: " + testenv.Database}})
	conn := connect(t, r.dsn("dbname=other"))
	var name string
	if err := conn.QueryRow(t.Context(), "select current_database()").Scan(&name); err != nil || name != testenv.Database {
		t.Errorf("%s, %v", name, err)
	}
}

// Replication connections work: commands, and a base backup by the real tool.
func TestReplication(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	r := start(t, service{server: server, user: server.Users.SCRAM})
	conn, err := pgconn.Connect(t.Context(), r.dsn("replication=database"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	results, err := conn.Exec(t.Context(), "IDENTIFY_SYSTEM").ReadAll()
	if err != nil || len(results) != 1 || len(results[0].Rows) != 1 {
		t.Errorf("IDENTIFY_SYSTEM: %v, %v", results, err)
	}
	backup := filepath.Join(r.dir, "backup")
	out, err := testenv.Command(t, nil, testenv.Tool(t, "pg_basebackup"), "-h", r.dir, "-p", "5432", "-U", "x", "-w", "-D", backup, "-X", "stream", "-c", "fast")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(backup, "PG_VERSION")); err != nil {
		t.Error(err)
	}
}

// What a client pipelines right behind its greeting arrives.
func TestNotificationsAndLargeMessages(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{Version: 17})
	r := start(t, service{server: server, user: server.Users.SCRAM, sslmode: "require"})
	listener, sender := connect(t, r.dsn()), connect(t, r.socketDSN())
	if _, err := listener.Exec(t.Context(), "listen news"); err != nil {
		t.Fatal(err)
	}
	if _, err := sender.Exec(t.Context(), "notify news, 'hello'"); err != nil {
		t.Fatal(err)
	}
	if n, err := listener.WaitForNotification(t.Context()); err != nil || n.Payload != "hello" {
		t.Errorf("%v, %v", n, err)
	}
	big := bytes.Repeat([]byte{7}, 20<<20)
	var back []byte
	if err := sender.QueryRow(t.Context(), "select $1::bytea", big).Scan(&back); err != nil || !bytes.Equal(big, back) {
		t.Errorf("%d bytes came back of %d, %v", len(back), len(big), err)
	}
}
