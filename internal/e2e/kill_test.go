//go:build unix

package e2e

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"secretless/internal/testenv"
)

func unixTransport(path string) *http.Transport {
	return &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
}

// learnsSoon is how long the other side may need to learn of a death; the bar
// is one second on a machine that does nothing else.
const learnsSoon = 5 * time.Second

// A killed server ends its clients' connections, and new ones work as soon as
// it is back.
func TestKilledServer(t *testing.T) {
	server := testenv.NewPostgres(t, testenv.PG{})
	r := start(t, service{server: server, user: server.Users.SCRAM})
	held := connect(t, r.dsn())
	failed := make(chan error, 1)
	go func() {
		_, err := held.Exec(context.Background(), "select pg_sleep(60)")
		failed <- err
	}()
	time.Sleep(100 * time.Millisecond)
	server.Kill()
	select {
	case err := <-failed:
		if err == nil {
			t.Error("the query ended without an error")
		}
	case <-time.After(learnsSoon):
		t.Fatal("the client does not learn that the server is dead")
	}
	if got := connectError(t, r.dsn()); got.Code != "08001" {
		t.Errorf("SQLSTATE %s, want 08001", got.Code)
	}
	server.Restart(t)
	expectUser(t, r.dsn(), "scram")
}

// A killed client ends its server process.
func TestKilledClient(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	r := start(t, service{server: server, user: server.Users.SCRAM})
	name := "killed-" + filepath.Base(r.dir)
	cmd := exec.CommandContext(t.Context(), testenv.Tool(t, "psql"), "-X", "-w", "-d", r.dsn("application_name="+name), "-c", "select 1")
	stdin, err := cmd.StdinPipe() // psql reads commands until we kill it
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args = cmd.Args[:len(cmd.Args)-2]
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	admin := server.Connect(t)
	sessions := func() (n int) {
		if err := admin.QueryRow(t.Context(), "select count(*) from pg_stat_activity where application_name = $1", name).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	r.eventually("psql to connect", func() bool { return sessions() == 1 })
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	r.eventually("the server to end the session", func() bool { return sessions() == 0 })
}

// What a killed broker leaves is replaced at the next start. Kills in the
// middle of a handshake are TestKilledAtEveryStage's.
func TestKilledBroker(t *testing.T) {
	binary := buildBinary(t)
	server := testenv.Postgres(t, testenv.PG{})
	r := prepare(t)
	broker := r.exec(binary, r.yaml(service{server: server, user: server.Users.SCRAM}))
	conn := r.connectWhenUp()
	_ = broker.Process.Kill()
	_ = broker.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), learnsSoon)
	defer cancel()
	if _, err := conn.Exec(ctx, "select 1"); err == nil || ctx.Err() != nil {
		t.Errorf("the client learned %v", err)
	}
	again := r.exec(binary, r.yaml(service{server: server, user: server.Users.SCRAM}))
	r.connectWhenUp()
	_ = again.Process.Signal(os.Interrupt)
	_ = again.Wait()
	if entries, _ := filepath.Glob(filepath.Join(r.dir, ".s.PGSQL.*")); len(entries) > 0 {
		t.Errorf("socket files left: %v", entries)
	}
}

// buildBinary builds the program once a test.
func buildBinary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secretless")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "secretless/cmd/secretless")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building: %v: %s", err, out)
	}
	return path
}

// exec runs the binary itself, for tests that kill it.
// Without arguments it serves yaml.
func (r *running) exec(binary, yaml string, args ...string) *exec.Cmd {
	r.t.Helper()
	if len(args) == 0 {
		r.write(yaml)
		args = []string{"-f", r.config}
	}
	cmd := exec.CommandContext(r.t.Context(), binary, args...)
	cmd.Env = []string{} // not this process's
	for name, value := range r.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdout, cmd.Stderr = r.log, r.log
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func (r *running) connectWhenUp() (conn *pgx.Conn) {
	r.t.Helper()
	r.eventually("the broker to serve", func() bool {
		c, err := pgx.Connect(r.t.Context(), r.dsn())
		conn = c
		return err == nil
	})
	r.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}
