//go:build linux

package e2e

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"secretless/internal/testenv"
)

// floodMemory bounds what the broker may need at the worst of the flood.
const floodMemory = 150 << 20

// A broker under 2,000 clients that say nothing, a hundred that say their
// greeting a byte at a time and some that shout garbage goes on serving
// others, in bounded memory, and is rid of them all in the end.
func TestFlood(t *testing.T) {
	silent := 2000
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 5000 {
		silent = int(limit.Cur / 4)
	}
	server := testenv.Postgres(t, testenv.PG{})
	r := prepare(t)
	broker := r.exec(buildBinary(t), r.yaml(service{
		server: server, user: server.Users.SCRAM, settings: []string{"limits: { handshakeTimeout: 5s }"},
	}))
	r.eventually("the broker to be ready", func() bool { return r.log.has(`"msg":"ready"`) })
	expectUser(t, r.dsn(), "scram")
	idle := descriptors(broker.Process.Pid)
	quiet := memory(broker.Process.Pid, "VmRSS")

	f := &flood{t: t, address: fmt.Sprintf("127.0.0.1:%d", r.port), stop: make(chan struct{})}
	for range silent {
		f.attackers.Go(f.silent)
	}
	for range 100 {
		f.attackers.Go(f.slow)
	}
	for range 4 {
		f.attackers.Go(f.garbage)
	}
	var served int
	var slowest time.Duration
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); served++ {
		began := time.Now()
		conn, err := pgx.Connect(t.Context(), r.dsn())
		if err != nil {
			t.Fatalf("a client is not served during the flood: %v", err)
		}
		expectAlive(t, conn)
		_ = conn.Close(t.Context())
		slowest = max(slowest, time.Since(began))
	}
	most := descriptors(broker.Process.Pid)
	close(f.stop)
	f.attackers.Wait()
	peak := memory(broker.Process.Pid, "VmHWM")
	t.Logf("%d silent clients, %d greetings drip, %d times garbage: %d other connections served, the slowest in %v; "+
		"%d descriptors at most; RSS %d KiB before, %d KiB at the peak",
		f.closed.Load(), 100, f.shouted.Load(), served, slowest.Round(time.Millisecond), most, quiet>>10, peak>>10)
	if peak > floodMemory {
		t.Errorf("the broker needed %d MiB", peak>>20)
	}
	if most < silent {
		t.Errorf("%d descriptors with %d silent clients: was there a flood?", most, silent)
	}
	r.eventually("the broker to be rid of everybody", func() bool { return descriptors(broker.Process.Pid) <= idle })
}

// flood is hostile clients.
type flood struct {
	t               *testing.T
	address         string
	stop            chan struct{}
	attackers       sync.WaitGroup
	closed, shouted atomic.Int64
}

func (f *flood) dial() net.Conn {
	conn, err := net.DialTimeout("tcp", f.address, patience)
	if err != nil {
		f.t.Errorf("the broker takes no connection: %v", err)
		return nil
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// silent says nothing until the broker has had enough.
func (f *flood) silent() {
	conn := f.dial()
	if conn == nil {
		return
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.Copy(io.Discard, conn); os.IsTimeout(err) {
		f.t.Error("a silent client is not closed")
	}
	f.closed.Add(1)
}

// slow sends a greeting that would take a minute.
func (f *flood) slow() {
	conn := f.dial()
	if conn == nil {
		return
	}
	defer func() { _ = conn.Close() }()
	for i := range greeting {
		if _, err := conn.Write(greeting[i : i+1]); err != nil {
			return
		}
		select {
		case <-f.stop:
			return
		case <-time.After(2 * time.Second):
		}
	}
}

// garbage connects and shouts, again and again.
func (f *flood) garbage() {
	noise := make([]byte, 64<<10)
	for {
		select {
		case <-f.stop:
			return
		default:
		}
		_, _ = rand.Read(noise)
		conn := f.dial()
		if conn == nil {
			return
		}
		_, _ = conn.Write(noise)
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
		f.shouted.Add(1)
	}
}
