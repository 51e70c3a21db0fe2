package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"secretless/internal/secret"
	"secretless/internal/sockio"
	"secretless/internal/testenv"
)

// ready waits until so many spare connections are held, and none is made.
func (p *spares) ready(t *testing.T, want int) {
	t.Helper()
	until(t, fmt.Sprintf("%d spare connections", want), func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.held) == want && p.making == 0
	})
}

// pauseOn makes a pause that has begun last for this test, however slow it is.
func (p *spares) pauseOn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.resumes.IsZero() {
		p.resumes = p.resumes.Add(time.Hour)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// pids are those of the spare sessions' processes.
func (p *spares) pids() (all []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.held {
		all = append(all, fmt.Sprint(s.established.key.ProcessID))
	}
	return all
}

const pid = "select pg_backend_pid()::text"

func TestSpareSessions(t *testing.T) {
	for _, version := range versions {
		for _, mode := range []string{"disable", "require"} {
			t.Run(fmt.Sprint(version, " ", mode), func(t *testing.T) {
				s := testenv.Postgres(t, testenv.PG{Version: version})
				f := newFront(t, Config{SpareConnections: 1}, creds(s, s.Users.SCRAM, "sslmode", mode))
				spares := f.Connector.spares
				if _, err := ask(t, f, pid, "application_name=one"); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					spares.ready(t, 1)
					want := spares.pids()[0]
					if got, err := ask(t, f, pid, "application_name=one"); err != nil || got != want {
						t.Errorf("session %s, %v; want the spare one, %s", got, err, want)
					}
				}
				spares.ready(t, 1)
				other := spares.pids()[0]
				got, err := ask(t, f, "select current_setting('application_name')", "application_name=two")
				if err != nil || got != "two" {
					t.Errorf("got %q, %v; want the session of another client", got, err)
				}
				spares.ready(t, 1) // the older one has given way
				if spares.pids()[0] == other {
					t.Error("the spare session of the client before is still held")
				}
				f.Connector.Close()
				spares.ready(t, 0)
			})
		}
	}
}

// A query on a session that was begun ahead can be cancelled like any other.
func TestSpareSessionIsCancelled(t *testing.T) {
	s := testenv.Postgres(t, testenv.PG{Version: 18})
	f := newFront(t, Config{SpareConnections: 1}, creds(s, s.Users.SCRAM))
	dsn := fmt.Sprintf("host=127.0.0.1 port=%s user=x dbname=%s sslmode=disable", f.Port(), testenv.Database)
	for n := range 2 {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		failed := make(chan error, 1)
		go func() {
			_, err := conn.Exec(ctx, "select pg_sleep(60)")
			failed <- err
		}()
		var refusal *pgconn.PgError
		for {
			if err := conn.PgConn().CancelRequest(ctx); err != nil {
				t.Fatal(err)
			}
			select {
			case err = <-failed:
			case <-time.After(50 * time.Millisecond): // it had not begun yet
				continue
			}
			break
		}
		if !errors.As(err, &refusal) || refusal.Code != "57014" {
			t.Errorf("round %d: %v", n, err)
		}
		cancel()
		_ = conn.Close(context.Background())
		f.Connector.spares.ready(t, 1)
	}
}

// No two clients get the same session, however many come at once.
func TestSpareSessionsOfManyClients(t *testing.T) {
	s := testenv.Postgres(t, testenv.PG{Version: 17})
	f := newFront(t, Config{SpareConnections: 3}, creds(s, s.Users.SCRAM))
	dsn := fmt.Sprintf("host=127.0.0.1 port=%s user=x dbname=%s sslmode=disable", f.Port(), testenv.Database)
	var (
		clients sync.WaitGroup
		all     sync.Map
	)
	for range 12 {
		clients.Go(func() {
			for range 10 {
				conn, err := pgx.Connect(t.Context(), dsn)
				if err != nil {
					t.Error(err)
					return
				}
				var got string
				if err := conn.QueryRow(t.Context(), pid).Scan(&got); err != nil {
					t.Error(err)
				}
				if _, taken := all.LoadOrStore(got, true); taken {
					t.Errorf("session %s was given to two clients", got)
				}
				_ = conn.Close(context.Background())
			}
		})
	}
	clients.Wait()
	f.Connector.spares.ready(t, 3)
}

func TestNoSpareForReplication(t *testing.T) {
	s := testenv.Postgres(t, testenv.PG{Version: 17})
	f := newFront(t, Config{SpareConnections: 1}, creds(s, s.Users.SCRAM))
	conn, err := pgconn.Connect(t.Context(), fmt.Sprintf("host=127.0.0.1 port=%s user=x dbname=%s sslmode=disable replication=database", f.Port(), testenv.Database))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := f.Result(0); err != nil {
		t.Fatal(err)
	}
	f.Connector.spares.ready(t, 0)
}

// sessionsOf is a target that greets everybody and tells what it hears then.
// ends says how the n-th session ends before anybody asks for it.
func sessionsOf(t *testing.T, ends func(n int, conn net.Conn)) (target *fakeTarget, heard func() []string) {
	var (
		mu   sync.Mutex
		said = map[int]string{}
		n    atomic.Int32
	)
	target = newFakeTarget(t, func(conn net.Conn) {
		if _, err := readPacket(conn); err != nil {
			return
		}
		own := int(n.Add(1)) - 1
		if _, err := conn.Write(welcome(t)); err != nil {
			return
		}
		ends(own, conn)
		text, _ := io.ReadAll(conn)
		mu.Lock()
		defer mu.Unlock()
		said[own] = string(text)
	})
	return target, func() (all []string) {
		mu.Lock()
		defer mu.Unlock()
		for n := range len(said) {
			all = append(all, said[n])
		}
		return all
	}
}

const terminate = "X\x00\x00\x00\x04"

// visit logs in, and leaves as clients do.
func visit(t *testing.T, f *front, hello string) {
	t.Helper()
	conn := dial(t, f)
	if _, err := loginAs(conn, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, hello+terminate); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

// What the target has ended, or said something on, is given to nobody.
func TestSpareSessionThatIsNone(t *testing.T) {
	for name, end := range map[string]func(net.Conn){
		"closed":       func(conn net.Conn) { _ = conn.Close() },
		"half-closed":  func(conn net.Conn) { _ = conn.(*net.TCPConn).CloseWrite() },
		"said goodbye": func(conn net.Conn) { _, _ = conn.Write([]byte("E\x00\x00\x00\x05\x00")) },
	} {
		t.Run(name, func(t *testing.T) {
			held := make(chan struct{})
			target, _ := sessionsOf(t, func(n int, conn net.Conn) {
				if n == 1 {
					<-held
					end(conn)
				}
			})
			f := newFront(t, Config{SpareConnections: 1}, target.creds())
			visit(t, f, "first")
			f.Connector.spares.ready(t, 1)
			close(held)
			dead := f.Connector.spares.held[0].conn
			until(t, "the end to arrive", func() bool { return !sockio.Quiet(dead) })
			visit(t, f, "second")
			f.Connector.spares.ready(t, 1)
			if n := target.Connections(); n != 4 { // two clients', the dead one and its successor
				t.Errorf("%d connections", n)
			}
			for _, err := range f.Results() {
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Sessions that nobody needs any more are ended in order.
func TestSpareSessionsEnd(t *testing.T) {
	for name, end := range map[string]func(*Connector){
		"drained":  func(c *Connector) { c.Drain() },
		"closed":   func(c *Connector) { c.Close() },
		"rejected": func(c *Connector) { c.forsake() },
		"too old": func(c *Connector) {
			c.spares.mu.Lock()
			for _, s := range c.spares.held {
				s.since = s.since.Add(-spareAge)
			}
			c.spares.mu.Unlock()
			c.spares.sweep()
		},
	} {
		t.Run(name, func(t *testing.T) {
			target, heard := sessionsOf(t, func(int, net.Conn) {})
			f := newFront(t, Config{SpareConnections: 2}, target.creds())
			visit(t, f, "hello")
			f.Connector.spares.ready(t, 2)
			end(f.Connector)
			f.Connector.spares.ready(t, 0)
			until(t, "the ends", func() bool { return len(heard()) == 3 })
			if got := strings.Join(heard(), "|"); got != "hello"+terminate+"|"+terminate+"|"+terminate {
				t.Errorf("the target heard %q", got)
			}
		})
	}
}

func TestNothingIsMadeAfterTheEnd(t *testing.T) {
	target, _ := sessionsOf(t, func(int, net.Conn) {})
	f := newFront(t, Config{SpareConnections: 2}, target.creds())
	f.Connector.Drain()
	visit(t, f, "hello")
	f.Connector.spares.ready(t, 0)
	if n := target.Connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// A session that was begun with other credentials is not used.
func TestSpareSessionOfOldCredentials(t *testing.T) {
	target, heard := sessionsOf(t, func(int, net.Conn) {})
	f := newFront(t, Config{SpareConnections: 1}, target.creds(), target.creds("password", "another-2210"))
	visit(t, f, "old")
	f.Connector.spares.ready(t, 1)
	visit(t, f, "new")
	f.Connector.spares.ready(t, 1)
	f.Connector.Close()
	until(t, "the ends", func() bool { return len(heard()) == 4 })
	if got := strings.Join(heard(), "|"); got != "old"+terminate+"|"+terminate+"|new"+terminate+"|"+terminate {
		t.Errorf("the target heard %q", got)
	}
}

// A target that has no session to spare is not asked again and again, and the
// clients do not suffer.
func TestNoSessionToSpare(t *testing.T) {
	var asked atomic.Int32
	target := newFakeTarget(t, func(conn net.Conn) {
		if _, err := readPacket(conn); err != nil {
			return
		}
		if asked.Add(1) == 2 {
			_, _ = conn.Write([]byte("E\x00\x00\x00\x25SFATAL\x00C53300\x00Mtoo many clients\x00\x00"))
			return
		}
		_, _ = conn.Write(welcome(t))
		_, _ = io.Copy(io.Discard, conn)
	})
	f := newFront(t, Config{SpareConnections: 1}, target.creds())
	var log logText
	f.Log = slog.New(slog.NewTextHandler(&log, nil))
	visit(t, f, "one")
	f.Connector.spares.ready(t, 0)
	f.Connector.spares.pauseOn()
	for range 3 {
		visit(t, f, "more")
	}
	f.Finish()
	f.Connector.Close()
	if n := asked.Load(); n != 5 {
		t.Errorf("asked %d times", n)
	}
	if got := log.String(); strings.Count(got, "no spare connection") != 1 || !strings.Contains(got, "too many clients") {
		t.Errorf("logged %s", got)
	}
}

// A bug that a target can reach ends neither the broker nor the connector.
func TestSpareLoginThatPanics(t *testing.T) {
	var text logText
	log := slog.New(slog.NewTextHandler(&text, nil))
	p := newSpares(1)
	p.fill(spareKey{}, secret.NewSet(nil), log, func(context.Context, *secret.Set) (*established, error) {
		panic("sesame-8731")
	})
	p.close()
	if p.making != 0 || p.resumes.IsZero() {
		t.Errorf("%d are being made, paused until %s", p.making, p.resumes)
	}
	if got := text.String(); !strings.Contains(got, "panic contained") || strings.Contains(got, "sesame") {
		t.Errorf("logged %s", got)
	}
}

// logText is a log that a test reads.
type logText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Whatever a login depends on leads to another session.
func TestSpareKey(t *testing.T) {
	p := newSpares(1)
	defer p.close()
	set := func(pairs ...string) *secret.Set {
		values := map[string]secret.Value{}
		for i := 0; i < len(pairs); i += 2 {
			values[pairs[i]] = secret.Copy(pairs[i+1])
		}
		return secret.NewSet(values)
	}
	seen := map[spareKey]string{}
	for name, key := range map[string]spareKey{
		"one":               p.key([]byte("packet"), set("host", "a", "password", "b")),
		"another packet":    p.key([]byte("packe"), set("host", "a", "password", "b")),
		"another password":  p.key([]byte("packet"), set("host", "a", "password", "c")),
		"another host":      p.key([]byte("packet"), set("host", "b", "password", "b")),
		"shifted":           p.key([]byte("packet"), set("host", "apassword", "b", "")),
		"another name":      p.key([]byte("packet"), set("host", "a", "passwor", "db")),
		"a credential more": p.key([]byte("packet"), set("host", "a", "password", "b", "port", "")),
	} {
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s have the same", name, other)
		}
		seen[key] = name
	}
	if p.key([]byte("packet"), set("host", "a", "password", "b")) != p.key([]byte("packet"), set("password", "b", "host", "a")) {
		t.Error("the same login has two keys")
	}
	other := newSpares(1)
	defer other.close()
	if _, ok := seen[other.key([]byte("packet"), set("host", "a", "password", "b"))]; ok {
		t.Error("two services have the same key")
	}
}
