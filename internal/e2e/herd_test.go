//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"secretless/internal/assemble"
	"secretless/internal/broker"
	"secretless/internal/provider"
	"secretless/internal/relay"
	"secretless/internal/secret"
)

// herd is a provider that counts, and answers when all clients are there.
type herd struct {
	lookups atomic.Int64
	gate    chan struct{}
}

func (h *herd) Fetch(ctx context.Context, refs []string) (map[string]provider.Lease, error) {
	h.lookups.Add(1)
	select {
	case <-h.gate:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	out := map[string]provider.Lease{}
	for _, ref := range refs {
		out[ref] = provider.Lease{Value: secret.Copy("pw")}
	}
	return out, nil
}

// A thousand clients that come at the same moment cost the provider one lookup.
func TestThousandConnectionsOneLookup(t *testing.T) {
	h := &herd{gate: make(chan struct{})}
	b, socket := herdBroker(t, h, trustingServer(t))
	const clients = 1000
	var failed atomic.Int64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			if err := logIn(t, socket); err != nil {
				failed.Add(1)
				t.Log(err)
			}
		})
	}
	for end := time.Now().Add(patience); b.Status()[0].Handshakes < clients; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("only %d clients are there", b.Status()[0].Handshakes)
			break
		}
	}
	close(h.gate)
	all.Wait()
	if h.lookups.Load() != 1 || failed.Load() != 0 {
		t.Errorf("%d lookups, %d of %d clients failed", h.lookups.Load(), failed.Load(), clients)
	}
}

// herdBroker runs the pg connector in a real broker.
func herdBroker(t *testing.T, h *herd, port int) (*broker.Broker, string) {
	t.Helper()
	r := prepare(t)
	log := slog.New(slog.DiscardHandler)
	a := assemble.New(assemble.Options{LookupEnv: func(string) (string, bool) { return "", false }, Log: log, Providers: map[string]provider.Definition{
		"herd": provider.Define(provider.Definition{Ref: "any"}, func(struct{}, provider.Setup) (provider.Provider, error) { return h, nil }),
	}})
	socket := filepath.Join(r.dir, ".s.PGSQL.1")
	file, err := a.Parse("s.yml", fmt.Appendf(nil, `version: "2"
services:
  db:
    connector: pg
    listenOn: "unix://%s"
    credentials: { host: 127.0.0.1, port: %d, sslmode: disable, username: app, password: { from: slow, get: x } }
    limits: { handshakeTimeout: 60s }
providers:
  slow: { type: herd, cache: 60s, timeout: 60s }
`, socket, port))
	if err != nil {
		t.Fatal(err)
	}
	built, err := a.Build(file)
	if err != nil {
		t.Fatal(err)
	}
	moving, err := relay.New(relay.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	b := broker.New(broker.Options{Log: log, Relay: moving})
	if err := b.Apply(t.Context(), built.Services); err != nil {
		t.Fatal(err)
	}
	built.Commit()
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = b.Shutdown(ended)
		_ = moving.Close()
		a.Close()
	})
	return b, socket
}

// logIn is a client from its startup message to ReadyForQuery.
func logIn(t *testing.T, socket string) error {
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	hello := &pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "x"}}
	packet, err := hello.Encode(nil)
	if err != nil {
		return err
	}
	if _, err := conn.Write(packet); err != nil {
		return err
	}
	for {
		kind, _, err := message(conn)
		switch {
		case err != nil:
			return fmt.Errorf("before ReadyForQuery: %w", err)
		case kind == 'E':
			return errors.New("the broker sent an error")
		case kind == 'Z':
			return nil
		}
	}
}

// trustingServer lets everybody in; PostgreSQL would not take a thousand.
func trustingServer(t *testing.T) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
	})
	welcome := append(encoded(&pgproto3.AuthenticationOk{}), encoded(&pgproto3.ReadyForQuery{TxStatus: 'I'})...)
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				if startup(conn) == nil {
					_, _ = conn.Write(welcome)
				}
				_, _ = io.Copy(io.Discard, conn)
			})
		}
	})
	return l.Addr().(*net.TCPAddr).Port
}
