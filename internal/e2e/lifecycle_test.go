//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"secretless/internal/cli"
	"secretless/internal/testenv"
)

// A bad file changes nothing, a good one is taken, by signal, by command and by
// watching; connections of an unchanged service do not notice.
func TestReload(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	r := prepare(t)
	base := r.yaml(service{server: server, user: server.Users.SCRAM})
	r.run(base)
	held := connect(t, r.dsn())

	r.write(strings.Replace(base, "connector: pg", "connector: pgg", 1))
	r.signals <- syscall.SIGHUP
	r.eventually("the bad file to be reported", func() bool { return r.log.has(`did you mean \"pg\"`) })
	expectUser(t, r.dsn(), "scram")

	r.write(base + "# a comment changes nothing\n")
	r.signals <- syscall.SIGUSR1
	r.eventually("the reload", func() bool { return r.log.has("configuration reloaded") })
	expectAlive(t, held)

	r.write(strings.Replace(base, "    drain: 5s", "    drain: 6s", 1))
	if code, out := r.command("reload", "--socket", filepath.Join(r.dir, "admin")); code != 0 {
		t.Errorf("reload: %d %s", code, out)
	}
	expectUser(t, r.dsn(), "scram")
	expectAlive(t, held) // it drains

	r.write("version: \"2\"\n")
	code, out := r.command("reload", "--socket", filepath.Join(r.dir, "admin"))
	if code != cli.ExitFailure || !strings.Contains(out, "services") {
		t.Errorf("reload of a bad file: %d %s", code, out)
	}
	code, out = r.command("status", "--socket", filepath.Join(r.dir, "admin"))
	if code != 0 || !strings.Contains(out, "db") || !strings.Contains(out, "2 failed") {
		t.Errorf("status: %d %s", code, out)
	}
	_, _ = r.health("/live")
	if code, _ := r.health("/ready"); code != http.StatusOK {
		t.Errorf("not ready after a failed reload: %d", code)
	}
}

// command runs another command of the program, in this process.
func (r *running) command(args ...string) (int, string) {
	var out buffer
	env := cli.Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out,
		LookupEnv: func(string) (string, bool) { return "", false },
		Notify:    func(...os.Signal) (<-chan os.Signal, func()) { return nil, func() {} },
	}
	return cli.Run(r.t.Context(), env, args), out.String()
}

func expectAlive(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), "select 1"); err != nil {
		t.Errorf("a connection did not outlive the reload: %v", err)
	}
}

func TestWatch(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	r := prepare(t)
	base := r.yaml(service{server: server, user: server.Users.SCRAM})
	// As Kubernetes mounts it: a link to a link that changes.
	for i, text := range []string{base, strings.Replace(base, "\n  db:", "\n  renamed:", 1)} {
		dir := filepath.Join(r.dir, fmt.Sprint("v", i))
		if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "file"), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(r.dir, "data")
	r.config = filepath.Join(r.dir, "linked.yml")
	if err := errors.Join(os.Symlink("v0", link), os.Symlink("data/file", r.config)); err != nil {
		t.Fatal(err)
	}
	r.runWritten("--watch")
	if err := errors.Join(os.Symlink("v1", link+".new"), os.Rename(link+".new", link)); err != nil {
		t.Fatal(err)
	}
	r.eventually("the swapped link to be noticed", func() bool { return r.log.has("configuration reloaded") })
	expectUser(t, r.dsn(), "scram")
}

// runWritten is run with the configuration that is already there.
func (r *running) runWritten(args ...string) {
	r.t.Helper()
	text, err := os.ReadFile(r.config)
	if err != nil {
		r.t.Fatal(err)
	}
	target := r.config
	r.config = filepath.Join(r.dir, "unused.yml")
	r.run(string(text), append(args, "-f", target)...)
	r.config = target
}

// The first signal drains, the second cuts short.
func TestStop(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	s := service{server: server, user: server.Users.SCRAM}
	t.Run("drain", func(t *testing.T) {
		t.Parallel()
		r := start(t, s)
		held := connect(t, r.dsn())
		r.signals <- syscall.SIGTERM
		r.eventually("the listener to close", func() bool {
			c, err := pgx.Connect(t.Context(), r.dsn())
			if err == nil {
				_ = c.Close(t.Context())
			}
			return err != nil
		})
		if _, err := held.Exec(t.Context(), "select 1"); err != nil {
			t.Errorf("the held connection does not drain: %v", err)
		}
		_ = held.Close(t.Context())
		<-r.done
		if r.code != 0 {
			t.Errorf("exit code %d", r.code)
		}
	})
	t.Run("drain ends", func(t *testing.T) {
		t.Parallel()
		r := prepare(t)
		r.run(strings.Replace(r.yaml(s), "drain: 5s", "drain: 200ms", 1))
		held := connect(t, r.dsn())
		r.signals <- syscall.SIGTERM
		<-r.done
		if _, err := held.Exec(t.Context(), "select 1"); err == nil {
			t.Error("the connection outlived the broker")
		}
		if r.code != 0 {
			t.Errorf("exit code %d", r.code)
		}
	})
	t.Run("cut short", func(t *testing.T) {
		t.Parallel()
		r := start(t, s)
		_ = connect(t, r.dsn())
		r.signals <- syscall.SIGTERM
		r.signals <- syscall.SIGTERM
		<-r.done
		if r.code != 128+int(syscall.SIGTERM) {
			t.Errorf("exit code %d", r.code)
		}
	})
}

// A changed password is picked up without a restart.
func TestRotatedPasswordFile(t *testing.T) {
	server := testenv.NewPostgres(t, testenv.PG{})
	user := server.Users.SCRAM
	r := prepare(t)
	file := filepath.Join(r.dir, "password")
	if err := os.WriteFile(file, []byte(user.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	yaml := strings.Replace(r.yaml(service{server: server, user: user}), "from: env, get: DB_PASSWORD", "from: file, get: "+file, 1)
	r.run(yaml)
	expectUser(t, r.dsn(), user.Name)
	for i := range 5 {
		next := fmt.Sprintf("%s-%d", user.Password, i)
		server.Exec(t, fmt.Sprintf("alter role %s password '%s'", user.Name, next))
		if err := os.WriteFile(file, []byte(next), 0o600); err != nil {
			t.Fatal(err)
		}
		expectUser(t, r.dsn(), user.Name)
	}
}

func (r *running) health(path string) (int, error) {
	client := http.Client{Timeout: patience, Transport: unixTransport(filepath.Join(r.dir, "health"))}
	resp, err := client.Get("http://health" + path)
	if err != nil {
		r.t.Errorf("health: %v", err)
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode, nil
}
