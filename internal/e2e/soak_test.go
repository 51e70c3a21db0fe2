//go:build linux

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"secretless/internal/testenv"
)

// soak is how often a test repeats itself: a few times, or as often as
// script/soak says in the named variable.
func soak(t *testing.T, variable string, few int) int {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil && n > 0 {
		return n
	}
	return few
}

// holdings are what a process can leak.
type holdings struct {
	goroutines, descriptors int
	heap, rss               int64 // bytes
}

func (h holdings) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d KiB heap, %d KiB RSS", h.goroutines, h.descriptors, h.heap>>10, h.rss>>10)
}

// held are those of this process, after a collection, once nothing ends in
// the background any more.
func held() holdings {
	last := -1
	for range 50 {
		if n := descriptors(os.Getpid()); n == last {
			break
		} else {
			last = n
		}
		time.Sleep(50 * time.Millisecond)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return holdings{runtime.NumGoroutine(), descriptors(os.Getpid()), int64(m.HeapAlloc), memory(os.Getpid(), "VmRSS")}
}

func descriptors(pid int) int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries)
}

// memory is a line of /proc/PID/status, in bytes; 0 if the process has ended.
func memory(pid int, field string) int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// expectNothingLeaked waits for what ends in the background, then compares.
// Each of very many rounds would have to leak a little to be noticed in the
// heap; a goroutine or descriptor counts at once.
func (r *running) expectNothingLeaked(before holdings) {
	r.t.Helper()
	var after holdings
	r.eventually("everything to be released; before: "+before.String(), func() bool {
		after = held()
		return after.goroutines <= before.goroutines && after.descriptors <= before.descriptors
	})
	r.t.Logf("before: %v; after: %v, %d KiB of it at least the log", before, after, len(r.log.String())>>10)
	logged := int64(3 * len(r.log.String())) // the log is kept in memory, and its buffer grows by doubling
	if grown := after.heap - before.heap - logged; grown > 8<<20 {
		r.t.Errorf("the heap grew by %d KiB", grown>>10)
	}
}

// 16 clients that loop, on one connection for a while or on a new one each
// time, notice nothing of any number of reloads, and no reload leaks.
func TestReloadsUnderLoad(t *testing.T) {
	reloads := soak(t, "SECRETLESS_RELOADS", 200)
	server := testenv.Postgres(t, testenv.PG{})
	r := prepare(t)
	base := r.yaml(service{server: server, user: server.Users.SCRAM})
	texts := []string{
		strings.Replace(base, "    drain: 5s", "    drain: 10m", 1),
		strings.Replace(base, "    drain: 5s", "    drain: 11m", 1),
	}
	r.run(texts[0], "--log-level=info")
	warm := loop{dsn: r.dsn(), reconnect: 1, most: 20}
	if err := warm.run(nil); err != nil {
		t.Fatal(err)
	}
	before, began := held(), time.Now()
	stop := make(chan struct{})
	loops := make([]loop, 16)
	var clients sync.WaitGroup
	for i := range loops {
		loops[i] = loop{dsn: r.dsn(), reconnect: 1 + 99*(i%2)}
		clients.Go(func() {
			if err := loops[i].run(stop); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	for i := range reloads {
		r.write(texts[(i+1)%2])
		if code, out := r.command("reload", "--socket", filepath.Join(r.dir, "admin")); code != 0 {
			t.Errorf("reload %d: %s", i, out)
			break
		}
	}
	close(stop)
	clients.Wait()
	var queries, connects int64
	for i := range loops {
		queries, connects = queries+loops[i].queries.Load(), connects+loops[i].connects.Load()
	}
	t.Logf("%d reloads in %v under %d queries on %d connections", reloads, time.Since(began).Round(time.Millisecond), queries, connects)
	r.expectNothingLeaked(before)
}

// loop is a client that queries, on a new connection every few queries.
type loop struct {
	dsn               string
	reconnect         int // queries on a connection
	most              int
	queries, connects atomic.Int64
}

// run ends with stop, after most queries if there is a most, or with the
// first error.
func (l *loop) run(stop <-chan struct{}) (err error) {
	ctx := context.Background()
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close(ctx)
		}
	}()
	for i := 0; l.most == 0 || i < l.most; i++ {
		select {
		case <-stop:
			return nil
		default:
		}
		if i%l.reconnect == 0 {
			if conn != nil {
				_ = conn.Close(ctx)
			}
			if conn, err = pgx.Connect(ctx, l.dsn); err != nil {
				return err
			}
			l.connects.Add(1)
		}
		if _, err := conn.Exec(ctx, "select 1"); err != nil {
			return err
		}
		l.queries.Add(1)
	}
	return nil
}

// Connections of every kind of end, thousands of them, leave nothing: queried
// and closed, dropped, cut off in the middle of a query, never logged in.
func TestChurn(t *testing.T) {
	rounds := soak(t, "SECRETLESS_CHURN", 300)
	server := testenv.Postgres(t, testenv.PG{})
	r := start(t, service{server: server, user: server.Users.SCRAM})
	warm := loop{dsn: r.dsn(), reconnect: 1, most: 20}
	if err := warm.run(nil); err != nil {
		t.Fatal(err)
	}
	before, began := held(), time.Now()
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range rounds / 8 {
				if err := r.brief(rand.IntN(4)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	clients.Wait()
	t.Logf("%d connections in %v", rounds/8*8, time.Since(began).Round(time.Millisecond))
	r.expectNothingLeaked(before)
}

// brief makes one connection with the given kind of end.
func (r *running) brief(kind int) error {
	ctx := context.Background()
	if kind == 0 {
		client, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.port))
		if err != nil {
			return err
		}
		defer func() { _ = client.Close() }()
		n := rand.IntN(len(greeting))
		return says(greeting[:n])(client)
	}
	conn, err := pgx.Connect(ctx, r.dsn())
	if err != nil {
		return err
	}
	switch kind {
	case 1:
		if _, err := conn.Exec(ctx, "select 1"); err != nil {
			return err
		}
		return conn.Close(ctx)
	case 2:
		return conn.PgConn().Conn().Close()
	default:
		soon, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
		defer cancel()
		_, _ = conn.Exec(soon, "select pg_sleep(10)")
		return conn.Close(ctx)
	}
}
