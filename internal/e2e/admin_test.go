//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/crypto/ssh"

	"secretless/internal/admin"
	"secretless/internal/testenv"
)

// asked is what a command prints about the broker, which must succeed.
func (r *running) asked(args ...string) string {
	r.t.Helper()
	code, out := r.command(append(args, "--socket", filepath.Join(r.dir, "admin"))...)
	if code != 0 {
		r.t.Fatalf("%v: %d %s", args, code, out)
	}
	return out
}

func (r *running) connections(args ...string) []admin.Connection {
	r.t.Helper()
	var list admin.Connections
	if err := json.Unmarshal([]byte(r.asked(append([]string{"connections", "--json"}, args...)...)), &list); err != nil {
		r.t.Fatal(err)
	}
	return list.Connections
}

// closable is a client of some protocol, connected twice.
type closable struct {
	broker *running
	target string // as the list shows it
	state  string
	// use sends something over the first, or the second connection, and returns
	// an error when it is gone.
	use [2]func() error
}

func closablePostgres(t *testing.T) closable {
	server := testenv.Postgres(t, testenv.PG{})
	c := closable{broker: start(t, service{server: server, user: server.Users.SCRAM}), target: fmt.Sprintf("127.0.0.1:%d", server.Port), state: "relaying"}
	for n := range c.use {
		conn, err := pgx.Connect(t.Context(), c.broker.socketDSN())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		c.use[n] = func() error { _, err := conn.Exec(t.Context(), "select 1"); return err }
	}
	return c
}

func closableMySQL(t *testing.T) closable {
	server := testenv.MariaDB(t, testenv.Maria{})
	r := startMySQL(t, mysqlService{user: server.Users.Native, port: server.Port, sslmode: "require"})
	c := closable{broker: r, target: fmt.Sprintf("127.0.0.1:%d", server.Port), state: "relaying"}
	for n := range c.use {
		db := openMySQL(t, r.place("").config())
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		c.use[n] = func() error { _, err := conn.ExecContext(t.Context(), "select 1"); return err }
	}
	return c
}

func closableSSH(t *testing.T) closable {
	server := testenv.SSHD(t, testenv.SSH{})
	r := startSSH(t, sshTarget(server))
	c := closable{broker: r, target: fmt.Sprintf("127.0.0.1:%d", server.Port), state: "serving"}
	for n := range c.use {
		client, err := ssh.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.port), &ssh.ClientConfig{
			User: "somebody", HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: patience,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		c.use[n] = func() error {
			session, err := client.NewSession()
			if err != nil {
				return err
			}
			defer func() { _ = session.Close() }()
			return session.Run("true")
		}
	}
	return c
}

// closableHTTP is an address of two services; requests go over connections that
// are kept.
func closableHTTP(t *testing.T) closable {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "done") }))
	t.Cleanup(target.Close)
	r := prepare(t)
	var yaml strings.Builder
	yaml.WriteString("version: \"2\"\nservices:\n")
	for _, name := range []string{"one", "two"} {
		fmt.Fprintf(&yaml, "  %s:\n    connector: basic_auth\n    listenOn: tcp://127.0.0.1:%d\n    config: { hosts: [%q], paths: [/%s] }\n    credentials: { username: x, password: { from: env, get: DB_PASSWORD } }\n",
			name, r.port, strings.TrimPrefix(target.URL, "http://"), name)
	}
	fmt.Fprintf(&yaml, "admin: { health: \"unix://%s/health\", socket: \"unix://%s/admin\" }\naudit: { to: \"file://%s/audit.jsonl\" }\n", r.dir, r.dir, r.dir)
	r.env["DB_PASSWORD"] = "of-the-http-target"
	r.run(yaml.String())
	c := closable{broker: r, state: "serving"}
	for n, path := range []string{"/one", "/two"} {
		client := r.client(nil)
		used := false
		c.use[n] = func() error {
			request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, target.URL+path, nil)
			// A client that may repeat the request on a new connection would
			// not notice.
			if used {
				request.Method, request.Body = http.MethodPost, io.NopCloser(strings.NewReader("x"))
			}
			used = true
			resp, err := client.Do(request)
			if err != nil {
				return err
			}
			defer func() { _ = resp.Body.Close() }()
			body, err := io.ReadAll(resp.Body)
			if err == nil && string(body) != "done" {
				err = fmt.Errorf("%s: %s", resp.Status, body)
			}
			return err
		}
	}
	return c
}

// An administrator sees connections of every protocol, and closes one of them
// while the others live on.
func TestCloseConnections(t *testing.T) {
	for name, connect := range map[string]func(*testing.T) closable{
		"postgres": closablePostgres, "mysql": closableMySQL, "ssh": closableSSH, "http": closableHTTP,
	} {
		t.Run(name, func(t *testing.T) {
			c := connect(t)
			for _, use := range c.use {
				if err := use(); err != nil {
					t.Fatal(err)
				}
			}
			var list []admin.Connection
			c.broker.eventually("both connections to be listed with their bytes", func() bool {
				list = c.broker.connections()
				return len(list) == 2 && list[0].BytesToTarget > 0 && list[1].BytesToClient > 0
			})
			for _, one := range list {
				if string(one.State) != c.state || one.Target != c.target || one.Peer == nil || one.Peer.UID != uint32(os.Geteuid()) || one.Idle == nil || *one.Idle > patience.Seconds() {
					t.Errorf("listed as %+v, idle %v", one, one.Idle)
				}
			}
			if name == "http" {
				if both := c.broker.connections("--service", "two"); len(both) != 2 {
					t.Errorf("by the name of a service that shares the address: %d", len(both))
				}
			}
			c.broker.asked("close", strconv.FormatUint(list[0].ID, 10))
			if err := c.use[1](); err != nil {
				t.Errorf("the other connection: %v", err)
			}
			if name != "http" { // whose client has made a new one
				if err := c.use[0](); err == nil {
					t.Error("the closed connection works")
				}
			}
			c.broker.eventually("the audit to have the reason", func() bool {
				text, _ := os.ReadFile(filepath.Join(c.broker.dir, "audit.jsonl"))
				for line := range bytes.Lines(text) {
					if bytes.Contains(line, []byte(`"event":"closed"`)) && bytes.Contains(line, []byte(`"reason":"administrator"`)) &&
						bytes.Contains(line, fmt.Appendf(nil, `"connection":%d,`, list[0].ID)) {
						return true
					}
				}
				return false
			})
			// pgx comes once more, to cancel what it had asked.
			kept := false
			for _, left := range c.broker.connections() {
				kept = kept || left.ID == list[1].ID
				if left.ID == list[0].ID {
					t.Errorf("still there: %+v", left)
				}
			}
			if !kept {
				t.Error("the other connection is not listed")
			}
		})
	}
}

// A drain under load fails nothing that has begun; a reload undoes it.
func TestDrainUnderLoad(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	r := start(t, service{server: server, user: server.Users.SCRAM})
	held, err := pgx.Connect(t.Context(), r.dsn())
	if err != nil {
		t.Fatal(err)
	}
	b := newBusy(r, 8)
	b.stopping.Store(true)
	if out := r.asked("drain", "db"); !strings.HasPrefix(out, "1 service stopped accepting, ") {
		t.Errorf("drain: %s", out)
	}
	if code, _ := r.health("/ready"); code != http.StatusServiceUnavailable {
		t.Errorf("ready: %d", code)
	}
	if code, _ := r.health("/live"); code != http.StatusOK {
		t.Errorf("live: %d", code)
	}
	if _, err := pgx.Connect(t.Context(), r.dsn()); err == nil {
		t.Error("a drained service accepts connections")
	}
	b.clients.Wait() // each finishes its visit and finds the door closed
	if n := b.cut.Load(); n > 0 {
		t.Errorf("%d connections were cut", n)
	}
	code, out := r.command("drain", "db", "--wait", "--timeout", "300ms", "--socket", filepath.Join(r.dir, "admin"))
	if code != 1 || !strings.Contains(out, "1 connection still open") {
		t.Errorf("a drain that takes too long: %d %s", code, out)
	}
	expectAlive(t, held)

	waited := make(chan string)
	go func() {
		_, out := r.command("drain", "--wait", "--timeout", "20s", "--socket", filepath.Join(r.dir, "admin"))
		waited <- out
	}()
	time.Sleep(100 * time.Millisecond) // whether it waits, or finds it done
	_ = held.Close(context.Background())
	if out := <-waited; out != "drained: no connection is left\n" {
		t.Errorf("drain --wait: %s", out)
	}
	if out := r.asked("status"); !strings.Contains(out, "drained") {
		t.Errorf("status: %s", out)
	}

	r.asked("reload")
	if code, _ := r.health("/ready"); code != http.StatusOK {
		t.Errorf("ready after the reload: %d", code)
	}
	expectUser(t, r.dsn(), "scram")
	expectUser(t, r.socketDSN(), "scram")
}
