package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/target"
	"secretless/internal/testenv"
)

// Cancelling through the broker reaches the backend, over whatever the service
// uses, with PostgreSQL 18's long keys too.
func TestCancelQuery(t *testing.T) {
	for _, version := range versions {
		for _, mode := range []string{"disable", "require"} {
			t.Run(fmt.Sprint(version, " ", mode), func(t *testing.T) {
				s := testenv.Postgres(t, testenv.PG{Version: version})
				f := newFront(t, Config{}, creds(s, s.Users.SCRAM, "sslmode", mode))
				conn, err := pgx.Connect(t.Context(), fmt.Sprintf("host=127.0.0.1 port=%s user=x dbname=app sslmode=disable max_protocol_version=latest", f.Port()))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close(context.Background()) }()
				failed := make(chan error, 1)
				go func() {
					_, err := conn.Exec(context.Background(), "select pg_sleep(20)")
					failed <- err
				}()
				time.Sleep(200 * time.Millisecond)
				if err := conn.PgConn().CancelRequest(t.Context()); err != nil {
					t.Fatal(err)
				}
				var pgErr *pgconn.PgError
				if err := <-failed; !errors.As(err, &pgErr) || pgErr.Code != "57014" {
					t.Fatalf("the query ended with %v", err)
				}
				if n := f.Credentials.Lookups(); n != 1 {
					t.Errorf("%d lookups: a request for a running session needs none", n)
				}
			})
		}
	}
}

func cancelRequest(t *testing.T, pid uint32, key []byte) []byte {
	t.Helper()
	message, err := (&pgproto3.CancelRequest{ProcessID: pid, SecretKey: key}).Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// A request of no known session goes to the configured target, byte for byte,
// and the client waits for the target's close.
func TestCancelForwarded(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		for _, size := range []int{4, 32, 256} {
			t.Run(fmt.Sprint(size, " refuse ", refuse), func(t *testing.T) {
				want := cancelRequest(t, 99, bytes.Repeat([]byte{7}, size))
				var closing atomic.Bool
				got := make(chan []byte, 1)
				fake := newFakeTarget(t, func(conn net.Conn) {
					whole, _ := readPacket(conn)
					got <- whole
					time.Sleep(100 * time.Millisecond)
					closing.Store(true)
				})
				f := newFront(t, Config{}, fake.creds())
				if refuse {
					f.Refuse = &connector.Failure{Kind: connector.KindLimit, Err: errors.New("full")}
				}
				if answer := talk(t, f, want); len(answer) > 0 {
					t.Errorf("answer %q", answer)
				}
				if !closing.Load() {
					t.Error("the client was let go before the target had closed")
				}
				if whole := <-got; !bytes.Equal(whole, want) {
					t.Errorf("got %q, want %q", whole, want)
				}
				if err := f.Result(0); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestCancelFails(t *testing.T) {
	key := []byte{1, 2, 3, 4}
	t.Run("provider", func(t *testing.T) {
		f := newFront(t, Config{}, map[string]string{"host": "127.0.0.1"})
		f.Credentials.Err = errors.New("provider vault is down")
		_ = talk(t, f, cancelRequest(t, 1, key))
		if kind := connector.KindOf(f.Result(0)); kind != connector.KindCredentials {
			t.Errorf("kind %v", kind)
		}
	})
	t.Run("target stalls", func(t *testing.T) {
		fake := newFakeTarget(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
		f := newFront(t, Config{}, fake.creds())
		f.Handshake = 200 * time.Millisecond
		_ = talk(t, f, cancelRequest(t, 1, key))
		if kind := connector.KindOf(f.Result(0)); kind != connector.KindTimeout {
			t.Errorf("kind %v", kind)
		}
	})
}

// The request follows the session to its own server, whatever the host's name
// stands for by then.
func TestCancelFollowsSession(t *testing.T) {
	got := make(chan []byte, 1)
	first := newFakeTarget(t, func(conn net.Conn) {
		whole, err := readPacket(conn)
		if err != nil {
			return
		}
		if bytes.Contains(whole, []byte("user")) {
			_, _ = conn.Write(welcome(t))
			_, _ = io.Copy(io.Discard, conn)
			return
		}
		got <- whole
	})
	second := newFakeTarget(t, func(net.Conn) { t.Error("the request went to the wrong server") })
	f := newFront(t, Config{}, first.creds(), second.creds())
	conn := dial(t, f)
	_, _ = conn.Write(plainStartup)
	if _, err := io.ReadFull(conn, make([]byte, len(welcome(t)))); err != nil {
		t.Fatal(err)
	}
	_ = f.Result(0)
	want := cancelRequest(t, 7, []byte{1, 2, 3, 4}) // the key in welcome
	_ = talk(t, f, want)
	if whole := <-got; !bytes.Equal(whole, want) {
		t.Errorf("got %q", whole)
	}
	_ = conn.Close()
	for range 500 {
		if _, known := f.Connector.sessions.find(&pgproto3.CancelRequest{ProcessID: 7, SecretKey: []byte{1, 2, 3, 4}}); !known {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the session is still known after its end")
}

func TestSessionTable(t *testing.T) {
	table := newSessions()
	key := pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}}
	request := &pgproto3.CancelRequest{ProcessID: 1, SecretKey: key.SecretKey}
	old := table.add(key, plan{direct: false})
	recent := table.add(key, plan{direct: true})
	_ = old.Close()
	if p, ok := table.find(request); !ok || !p.direct {
		t.Error("the end of one session removed another with the same key")
	}
	_ = recent.Close()
	_ = recent.Close()
	if _, ok := table.find(request); ok {
		t.Error("still there")
	}
	if table.add(pgproto3.BackendKeyData{}, plan{}) != nil || table.count != 0 {
		t.Error("a session without a key was added")
	}
	for i := range maxCancelKeys {
		table.add(pgproto3.BackendKeyData{ProcessID: uint32(i), SecretKey: []byte{0}}, plan{})
	}
	if table.add(key, plan{}) != nil || table.count != maxCancelKeys {
		t.Error("the table has no bound")
	}
}

// Keys that begin alike, of any length, are told apart, and the end of one
// leaves the others.
func TestSessionsThatBeginAlike(t *testing.T) {
	table := newSessions()
	running := map[int]io.Closer{}
	key := func(size int) []byte { return bytes.Repeat([]byte{1}, size) }
	sizes := []int{4, 5, shortCancelKey, shortCancelKey + 1, maxCancelKey}
	for n, size := range sizes {
		running[size] = table.add(pgproto3.BackendKeyData{ProcessID: 7, SecretKey: key(size)}, plan{Plan: database.Plan{Address: target.Address{Port: n + 1}}})
	}
	for _, gone := range []int{shortCancelKey, maxCancelKey, 4, shortCancelKey + 1, 5} {
		for n, size := range sizes {
			p, ok := table.find(&pgproto3.CancelRequest{ProcessID: 7, SecretKey: key(size)})
			if _, open := running[size]; ok != open || ok && p.Address.Port != n+1 {
				t.Errorf("a key of %d bytes: found %t, of the target on port %d", size, ok, p.Address.Port)
			}
		}
		_ = running[gone].Close()
		delete(running, gone)
	}
	if len(table.last) != 0 || table.count != 0 {
		t.Errorf("%d are left", table.count)
	}
}

// Targets may all give the same key: whichever session ends, the others stay.
func TestSessionsWithOneKey(t *testing.T) {
	key := pgproto3.BackendKeyData{ProcessID: 7, SecretKey: []byte{1, 2, 3, 4}}
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		table, running := newSessions(), map[int]io.Closer{}
		for port := range 3 {
			running[port] = table.add(key, plan{Plan: database.Plan{Address: target.Address{Port: port}}})
		}
		for _, gone := range order {
			latest := -1
			for port := range running {
				latest = max(latest, port)
			}
			if p, ok := table.find(&pgproto3.CancelRequest{ProcessID: 7, SecretKey: key.SecretKey}); !ok || p.Address.Port != latest {
				t.Errorf("%v: found %t, port %d, want %d", order, ok, p.Address.Port, latest)
			}
			_ = running[gone].Close()
			delete(running, gone)
		}
		if len(table.last) != 0 || table.count != 0 {
			t.Errorf("%v: %d are left", order, table.count)
		}
	}
}
