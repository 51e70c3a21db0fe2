//go:build unix

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"secretless/internal/audit/audittest"
	"secretless/internal/cli"
	"secretless/internal/testenv"
)

func TestMain(m *testing.M) {
	switch role := os.Getenv(puppetVariable); role {
	case "":
	case brokerRole:
		os.Exit(cli.Run(context.Background(), cli.Process(), os.Args[1:]))
	default:
		os.Exit(bePuppet(role))
	}
	os.Exit(testenv.Main(m))
}

// patience is how long a test waits for what should happen at once; generous,
// so that a busy machine does not fail it.
const patience = 20 * time.Second

// running is the program, run in this process so that the race detector and
// the leak check see it, or in one of its own, hardened.
type running struct {
	t       *testing.T
	dir     string // short: it holds unix sockets
	config  string
	port    int
	env     map[string]string
	log     *buffer
	signals chan os.Signal
	done    chan struct{}
	code    int
	own     bool // in a process of its own
}

// service is one service of a configuration.
type service struct {
	server   *testenv.Server
	user     testenv.User
	sslmode  string
	host     string   // default 127.0.0.1
	port     int      // default the server's
	more     []string // further lines of credentials, "name: value"
	settings []string // further lines of the service, with their own indent
}

// yaml is a configuration with one service, on unix:///dir/.s.PGSQL.5432 and a
// TCP port. The password comes from the environment.
func (r *running) yaml(s service) string {
	if s.sslmode == "" {
		s.sslmode = "disable"
	}
	if s.host == "" {
		s.host = "127.0.0.1"
	}
	if s.port == 0 {
		s.port = s.server.Port
	}
	r.env["DB_PASSWORD"] = s.user.Password
	var b strings.Builder
	fmt.Fprintf(&b, `version: "2"
services:
  db:
    connector: pg
    listenOn: ["tcp://127.0.0.1:%d", "unix://%s/.s.PGSQL.5432"]
    drain: 5s
    credentials:
      host: %q
      port: %d
      sslmode: %s
      username: %s
      password: { from: env, get: DB_PASSWORD }
`, r.port, r.dir, s.host, s.port, s.sslmode, s.user.Name)
	for _, line := range s.more {
		fmt.Fprintf(&b, "      %s\n", line)
	}
	for _, line := range s.settings {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	fmt.Fprintf(&b, "admin: { health: \"unix://%s/health\", socket: \"unix://%s/admin\" }\n", r.dir, r.dir)
	fmt.Fprintf(&b, "audit: { to: \"file://%s/audit.jsonl\" }\n", r.dir)
	return b.String()
}

// prepare makes what a broker needs; run starts it.
func prepare(t *testing.T) *running {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &running{
		t: t, dir: dir, config: filepath.Join(dir, "secretless.yml"), port: testenv.FreePort(t),
		env: map[string]string{}, log: &buffer{}, signals: make(chan os.Signal, 8), done: make(chan struct{}),
		own: os.Getenv(ownProcessVariable) != "",
	}
}

// start runs the program in front of s and stops it with the test.
func start(t *testing.T, s service) *running {
	t.Helper()
	r := prepare(t)
	r.run(r.yaml(s))
	return r
}

func (r *running) run(yaml string, args ...string) {
	r.t.Helper()
	r.write(yaml)
	r.launch(append([]string{"serve", "-f", r.config, "--log-level=debug"}, args...)...)
	r.eventually("the broker to be ready", func() bool {
		select {
		case <-r.done:
			r.t.Fatalf("the broker ended with code %d:\n%s", r.code, r.log)
		default:
		}
		return r.log.has(`"msg":"ready"`)
	})
}

// launch runs the program and stops it with the test.
func (r *running) launch(args ...string) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	if r.own {
		r.startProcess(args)
	} else {
		env := cli.Env{
			Stdin: strings.NewReader(""), Stdout: r.log, Stderr: r.log,
			LookupEnv: func(name string) (string, bool) { v, ok := r.env[name]; return v, ok },
			Notify:    func(...os.Signal) (<-chan os.Signal, func()) { return r.signals, func() {} },
		}
		go func() {
			defer close(r.done)
			r.code = cli.Run(ctx, env, args)
		}()
	}
	r.t.Cleanup(func() {
		r.signals <- os.Interrupt
		r.signals <- os.Interrupt
		select {
		case <-r.done:
		case <-time.After(patience):
			r.t.Errorf("the broker does not stop; its log:\n%s", r.log)
		}
		cancel()
		r.checkSecrets()
	})
}

// checkSecrets looks for the password wherever the broker wrote.
func (r *running) checkSecrets() {
	r.t.Helper()
	audit, _ := os.ReadFile(filepath.Join(r.dir, "audit.jsonl"))
	audittest.Text(r.t, audit)
	if p := r.env["DB_PASSWORD"]; p != "" {
		if r.log.has(p) || bytes.Contains(audit, []byte(p)) {
			r.t.Error("the password is in the broker's log or audit")
		}
	}
	if entries, _ := filepath.Glob(filepath.Join(r.dir, ".s.PGSQL.*")); len(entries) > 0 {
		r.t.Errorf("socket files left: %v", entries)
	}
}

// write replaces the configuration file in one step.
func (r *running) write(yaml string) {
	r.t.Helper()
	next := r.config + ".new"
	if err := os.WriteFile(next, []byte(yaml), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(next, r.config); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) eventually(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited in vain for %s; the broker's log:\n%s", what, r.log)
		}
	}
}

// dsn connects pgx through the broker over TCP, as nobody in particular.
func (r *running) dsn(options ...string) string {
	return fmt.Sprintf("host=127.0.0.1 port=%d user=nobody dbname=%s sslmode=disable connect_timeout=20 %s",
		r.port, testenv.Database, strings.Join(options, " "))
}

// socketDSN is dsn over the unix socket.
func (r *running) socketDSN(options ...string) string {
	return fmt.Sprintf("host=%s port=5432 user=nobody dbname=%s sslmode=disable connect_timeout=20 %s",
		r.dir, testenv.Database, strings.Join(options, " "))
}

func (r *running) psql(args ...string) (string, error) {
	r.t.Helper()
	return testenv.Command(r.t, nil, testenv.Tool(r.t, "psql"), append([]string{"-X", "-w", "-At", "-d", r.dsn()}, args...)...)
}

// buffer is a log that is read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *buffer) has(s string) bool { return strings.Contains(b.String(), s) }
