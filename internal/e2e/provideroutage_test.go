//go:build unix

package e2e

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"secretless/internal/testenv"
)

var outageTime = flag.Duration("outage", 7*time.Second, "how long the provider of TestProviderOutage is away")

// Vault goes away while clients of PostgreSQL connect as fast as they can: with
// staleIfError nobody notices; without, everybody is told within the lookup's
// deadline, and all is well again when it is back.
func TestProviderOutage(t *testing.T) {
	for _, how := range []fault{wayRefuses, wayHangs} {
		t.Run(string(how), func(t *testing.T) { outage(t, how) })
	}
}

func outage(t *testing.T, how fault) {
	v := testenv.Vault(t)
	s := testenv.Postgres(t, testenv.PG{})
	u := s.Users.SCRAM
	path := v.KV(t, 2) + "/data/orders"
	v.Write(t, path, map[string]any{"data": map[string]any{"password": u.Password}})
	way := newFaultyWay(t, fmt.Sprintf("127.0.0.1:%d", v.Port))
	r := prepare(t)
	r.env["DB_PASSWORD"] = u.Password // looked for in the log
	r.env["VAULT_READER"] = v.Token(t, map[string]any{"policies": []string{v.Policy(t, "read "+path)}, "ttl": "1h"})
	r.run(outageYAML(r.dir, way.address(), path, s))

	stale, strict := newVisitor(t, r.dir, 1), newVisitor(t, r.dir, 2)
	for _, who := range []*visitor{stale, strict} {
		who.eventually(r, "a login", func(o outcome) bool { return o.err == nil })
	}
	began := time.Now()
	way.set(how)
	time.Sleep(*outageTime)
	back := time.Now()
	way.set(wayWorks)
	strict.eventually(r, "a login after the outage", func(o outcome) bool { return o.err == nil && o.ended.After(back) })
	for _, o := range stale.stop() {
		if o.err != nil {
			t.Errorf("with staleIfError: %v after %v", o.err, o.ended.Sub(began))
		}
	}
	told, slowest, recovery := 0, time.Duration(0), time.Duration(0)
	for _, o := range strict.stop() {
		switch {
		case o.err == nil && o.ended.After(back) && recovery == 0:
			recovery = o.ended.Sub(back)
		case o.err == nil && o.began.Before(began.Add(2*time.Second)), o.err == nil && o.ended.After(back):
		case o.err == nil:
			t.Errorf("logged in %v after Vault went away, with a cache of a second", o.began.Sub(began))
		case !strings.Contains(o.err.Error(), "provider vault-strict") || !strings.Contains(o.err.Error(), "SQLSTATE"):
			t.Errorf("the client is told: %v", o.err)
		default:
			told++
			slowest = max(slowest, o.ended.Sub(o.began))
		}
	}
	t.Logf("away for %v: %d clients told, after %v at most; a login %v after the return", *outageTime, told, slowest, recovery)
	if told == 0 || slowest > 5*time.Second+patience/2 || recovery > patience {
		t.Error("the outage was not what it should be")
	}
}

func outageYAML(dir, vault, path string, s *testenv.Server) string {
	var b strings.Builder
	b.WriteString("version: \"2\"\nservices:\n")
	for n, name := range []string{"vault-stale", "vault-strict"} {
		fmt.Fprintf(&b, "  of-%s:\n    connector: pg\n    listenOn: unix://%s/.s.PGSQL.%d\n    credentials: { host: 127.0.0.1, port: %d, sslmode: disable, username: %s, password: { from: %s, get: \"%s#data.password\" } }\n",
			name, dir, n+1, s.Port, s.Users.SCRAM.Name, name, path)
	}
	fmt.Fprintf(&b, `providers:
  vault-stale: { type: vault, address: "http://%s", auth: { token: { from: env, get: VAULT_READER } }, cache: 1s, staleIfError: 1h }
  vault-strict: { type: vault, address: "http://%s", auth: { token: { from: env, get: VAULT_READER } }, cache: 1s }
admin: { health: "unix://%s/health" }
`, vault, vault, dir)
	return b.String()
}

// outcome is one login.
type outcome struct {
	began, ended time.Time
	err          error
}

// visitor logs in at a service, one connection after the other, from several
// goroutines.
type visitor struct {
	t        *testing.T
	end      context.CancelFunc
	all      sync.WaitGroup
	mu       sync.Mutex
	outcomes []outcome
}

func newVisitor(t *testing.T, dir string, number int) *visitor {
	ctx, end := context.WithCancel(context.Background())
	v := &visitor{t: t, end: end}
	dsn := fmt.Sprintf("host=%s port=%d user=nobody dbname=%s sslmode=disable", filepath.Clean(dir), number, testenv.Database)
	for range 4 {
		v.all.Go(func() {
			for ctx.Err() == nil {
				o := outcome{began: time.Now()}
				conn, err := pgx.Connect(ctx, dsn)
				if o.ended, o.err = time.Now(), err; err == nil {
					_ = conn.Close(context.Background())
				}
				if ctx.Err() != nil {
					return
				}
				v.mu.Lock()
				v.outcomes = append(v.outcomes, o)
				v.mu.Unlock()
				time.Sleep(5 * time.Millisecond) // leaves the machine something
			}
		})
	}
	t.Cleanup(func() { v.stop() })
	return v
}

func (v *visitor) eventually(r *running, what string, ok func(outcome) bool) {
	v.t.Helper()
	r.eventually(what, func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, o := range v.outcomes {
			if ok(o) {
				return true
			}
		}
		return false
	})
}

func (v *visitor) stop() []outcome {
	v.end()
	v.all.Wait()
	return v.outcomes
}

// fault is what becomes of connections.
type fault string

const (
	wayWorks   fault = "works"
	wayRefuses fault = "refuses" // closes them at once
	wayHangs   fault = "hangs"   // takes them and says nothing
)

// faultyWay is a network path to a server.
type faultyWay struct {
	l      net.Listener
	target string
	all    sync.WaitGroup

	mu    sync.Mutex
	now   fault
	conns map[net.Conn]bool
}

func newFaultyWay(t *testing.T, target string) *faultyWay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &faultyWay{l: l, target: target, now: wayWorks, conns: map[net.Conn]bool{}}
	w.all.Go(w.accept)
	t.Cleanup(func() {
		_ = l.Close()
		w.set(wayRefuses)
		w.all.Wait()
	})
	return w
}

func (w *faultyWay) address() string { return w.l.Addr().String() }

// set breaks off what is open when a fault begins. At its end it does not: what
// hangs then goes on hanging.
func (w *faultyWay) set(f fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now = f; f == wayWorks {
		return
	}
	for c := range w.conns {
		_ = c.Close()
	}
}

func (w *faultyWay) accept() {
	for {
		conn, err := w.l.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		now := w.now
		w.conns[conn] = true
		w.mu.Unlock()
		w.all.Go(func() {
			w.serve(conn, now)
			_ = conn.Close()
			w.mu.Lock()
			delete(w.conns, conn)
			w.mu.Unlock()
		})
	}
}

func (w *faultyWay) serve(conn net.Conn, now fault) {
	switch now {
	case wayRefuses:
	case wayHangs:
		_, _ = io.Copy(io.Discard, conn)
	default:
		far, err := net.Dial("tcp", w.target)
		if err != nil {
			return
		}
		defer far.Close()
		go func() {
			_, _ = io.Copy(far, conn)
			_ = far.Close()
		}()
		_, _ = io.Copy(conn, far)
	}
}
