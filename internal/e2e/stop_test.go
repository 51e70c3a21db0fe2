//go:build linux

package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"secretless/internal/testenv"
)

// busy is a crowd of clients in front of a broker that is about to stop. Each
// connects, queries for a while, closes and begins again.
type busy struct {
	*running
	clients  sync.WaitGroup
	stopping atomic.Bool // from here on nobody needs to be let in
	over     atomic.Bool
	queries  atomic.Int64
	cut      atomic.Int64 // connections that ended in the middle
}

func newBusy(r *running, n int) *busy {
	b := &busy{running: r}
	for range n {
		b.clients.Go(func() {
			for !b.over.Load() && b.visit() {
			}
		})
	}
	r.eventually("the clients to be busy", func() bool { return b.queries.Load() > int64(5*n) })
	return b
}

// visit is one connection; it returns whether to come again.
func (b *busy) visit() bool {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, b.dsn("application_name=busy-"+filepath.Base(b.dir)))
	if err != nil {
		if !b.stopping.Load() {
			b.t.Errorf("connecting: %v", err)
		}
		return false
	}
	defer func() { _ = conn.Close(ctx) }()
	for range 30 {
		if b.over.Load() {
			return false
		}
		if _, err := conn.Exec(ctx, "select pg_sleep(0.01)"); err != nil {
			b.cut.Add(1)
			return false
		}
		b.queries.Add(1)
	}
	return true
}

// signal sends signals, one after the other, and returns the exit code and how
// long the broker took.
func (b *busy) signal(broker *exec.Cmd, signals ...syscall.Signal) (code int, took time.Duration) {
	b.stopping.Store(true)
	for _, s := range signals {
		stops := strings.Count(b.log.String(), `"msg":"stopping`)
		_ = broker.Process.Signal(s)
		b.eventually("the signal to be taken", func() bool { return strings.Count(b.log.String(), `"msg":"stopping`) > stops })
	}
	began := time.Now()
	_ = broker.Wait()
	took = time.Since(began)
	b.over.Store(true)
	b.clients.Wait()
	return broker.ProcessState.ExitCode(), took
}

// A broker with 50 busy clients stops as it was told to, says so in its exit
// code, and leaves neither socket files nor sessions at the target.
func TestStopUnderLoad(t *testing.T) {
	binary := buildBinary(t)
	server := testenv.Postgres(t, testenv.PG{})
	admin := server.Connect(t)
	for name, c := range map[string]struct {
		drain   string
		signals []syscall.Signal
		code    int
		cuts    bool
	}{
		"everybody finishes":  {"30s", []syscall.Signal{syscall.SIGTERM}, 0, false},
		"interrupt":           {"30s", []syscall.Signal{syscall.SIGINT}, 0, false},
		"the drain ends":      {"50ms", []syscall.Signal{syscall.SIGTERM}, 0, true},
		"terminated twice":    {"30s", []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM}, 143, true},
		"interrupted at last": {"30s", []syscall.Signal{syscall.SIGTERM, syscall.SIGINT}, 130, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := prepare(t)
			yaml := strings.Replace(r.yaml(service{server: server, user: server.Users.SCRAM}), "drain: 5s", "drain: "+c.drain, 1)
			broker := r.exec(binary, yaml)
			r.eventually("the broker to be ready", func() bool { return r.log.has(`"msg":"ready"`) })
			crowd := newBusy(r, 50)
			code, took := crowd.signal(broker, c.signals...)
			t.Logf("stopped in %v after %d queries, %d connections cut", took.Round(time.Millisecond), crowd.queries.Load(), crowd.cut.Load())
			if code != c.code {
				t.Errorf("exit code %d, want %d; the log:\n%s", code, c.code, r.log)
			}
			if !r.log.has("a second signal ends them at once") {
				t.Errorf("the log does not say what the broker waits for:\n%s", r.log)
			}
			if cut := crowd.cut.Load(); cut > 0 != c.cuts {
				t.Errorf("%d connections were cut", cut)
			}
			left, _ := filepath.Glob(filepath.Join(r.dir, "*"))
			for _, path := range left {
				if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
					t.Errorf("the socket %s is left", path)
				}
			}
			r.eventually("the sessions to end", func() bool {
				var n int
				err := admin.QueryRow(t.Context(), "select count(*) from pg_stat_activity where application_name = $1", "busy-"+filepath.Base(r.dir)).Scan(&n)
				return err == nil && n == 0
			})
		})
	}
}

// Exit codes of a program that cannot start.
func TestExitCodes(t *testing.T) {
	binary := buildBinary(t)
	server := testenv.Postgres(t, testenv.PG{})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	r := prepare(t)
	good := r.yaml(service{server: server, user: server.Users.SCRAM})
	for name, c := range map[string]struct {
		yaml string
		args []string
		code int
	}{
		"wrong file": {strings.Replace(good, "connector: pg", "connector: pgg", 1), nil, 2},
		"no yaml":    {"\x00", nil, 2},
		"wrong flag": {good, []string{"--no-such-flag"}, 2},
		"port taken": {strings.Replace(good, fmt.Sprintf(":%d\"", r.port), fmt.Sprintf(":%d\"", taken.Addr().(*net.TCPAddr).Port), 1), nil, 1},
	} {
		r.write(c.yaml)
		cmd := exec.CommandContext(t.Context(), binary, append([]string{"-f", r.config}, c.args...)...)
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != c.code {
			t.Errorf("%s: exit code %d, want %d: %s", name, code, c.code, out)
		}
		if left, _ := filepath.Glob(filepath.Join(r.dir, ".s.PGSQL.*")); len(left) > 0 {
			t.Errorf("%s: %v is left", name, left)
		}
	}
}

// A stopped broker leaves no goroutine and no descriptor, whatever its clients
// were doing: they are silent, half-way through, idle or querying.
func TestStopLeavesNothing(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	before := held()
	r := start(t, service{server: server, user: server.Users.SCRAM})
	var parties []party
	for i := range 40 {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.port))
		if err != nil {
			t.Fatal(err)
		}
		parties = append(parties, socket{conn})
		if err := says(greeting[:i%len(greeting)])(conn); err != nil {
			t.Fatal(err)
		}
	}
	crowd := newBusy(r, 10)
	crowd.stopping.Store(true)
	r.signals <- syscall.SIGTERM
	r.signals <- syscall.SIGTERM
	<-r.done
	crowd.clients.Wait()
	for _, p := range parties {
		p.kill()
	}
	r.expectNothingLeaked(before)
}
