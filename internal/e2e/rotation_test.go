//go:build linux

package e2e

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"secretless/internal/testenv"
)

// reconnecting are clients that connect, query and hang up as fast as they can.
type reconnecting struct {
	t       *testing.T
	connect func() error
	done    []atomic.Int64 // connections by client
	stop    chan struct{}
	all     sync.WaitGroup
	failed  atomic.Int64
	first   atomic.Pointer[error]
}

// reconnect starts n of them; end ends them.
func reconnect(t *testing.T, n int, connect func() error) *reconnecting {
	c := &reconnecting{t: t, connect: connect, done: make([]atomic.Int64, n), stop: make(chan struct{})}
	for i := range c.done {
		c.all.Go(func() { c.loop(&c.done[i]) })
	}
	return c
}

func (c *reconnecting) loop(done *atomic.Int64) {
	for {
		select {
		case <-c.stop:
			return
		default:
		}
		if err := c.connect(); err != nil {
			c.failed.Add(1)
			c.first.CompareAndSwap(nil, &err)
			time.Sleep(10 * time.Millisecond)
			continue
		}
		done.Add(1)
	}
}

// everyoneAgain returns when each client has begun a connection after the call
// and ended it well.
func (c *reconnecting) everyoneAgain(r *running) {
	c.t.Helper()
	for i := range c.done {
		before := c.done[i].Load()
		r.eventually("a client to connect again", func() bool { return c.done[i].Load() >= before+2 || c.failed.Load() > 0 })
	}
}

// end returns how many connections there were, after none failed.
func (c *reconnecting) end() (connections int64) {
	c.t.Helper()
	close(c.stop)
	c.all.Wait()
	for i := range c.done {
		connections += c.done[i].Load()
	}
	if err := c.first.Load(); err != nil {
		c.t.Errorf("%d errors at the clients beside %d connections; the first: %v", c.failed.Load(), connections, *err)
	}
	return connections
}

// briefly is a PostgreSQL client: one connection with one query.
func (r *running) briefly() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, r.dsn())
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "select 1"); err != nil {
		_ = conn.Close(ctx)
		return err
	}
	return conn.Close(ctx)
}

// brieflyMySQL is the same for MariaDB.
func (r *running) brieflyMySQL() error {
	connector, err := mysql.NewConnector(r.place("").config())
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err = db.ExecContext(ctx, "do 1")
	return err
}

// vaultYAML is a configuration with one service whose credentials are in
// Vault. The token comes from the environment; settings are more of the
// provider's.
func (r *running) vaultYAML(connector string, port int, v *testenv.VaultServer, token, username, password, settings string) string {
	r.env["A_VAULT_TOKEN"] = token
	return fmt.Sprintf(`version: "2"
services:
  db:
    connector: %s
    listenOn: tcp://127.0.0.1:%d
    credentials: { host: 127.0.0.1, port: %d, sslmode: disable, username: %s, password: %s }
providers:
  v: { type: vault, address: "%s", auth: { token: { from: env, get: A_VAULT_TOKEN } }, %s }
admin: { socket: "unix://%s/admin" }
`, connector, r.port, port, username, password, v.Address(), settings, r.dir)
}

func fromVault(path, field string) string {
	return fmt.Sprintf("{ from: v, get: \"%s#%s\" }", path, field)
}

// rotated is a target whose password changes.
type rotated struct {
	connector, username, password string // credentials as YAML
	port                          int
	policy                        []string
	connect                       func(*running) error
	rotate                        func()
}

func TestRotations(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	v := testenv.Vault(t)
	for name, target := range map[string]func(*testing.T, *testenv.VaultServer) rotated{
		"PostgreSQL, KV":      rotatePostgresKV,
		"PostgreSQL, dynamic": rotatePostgresDynamic,
		"MariaDB, KV":         rotateMariaKV,
		"MariaDB, dynamic":    rotateMariaDynamic,
	} {
		t.Run(name, func(t *testing.T) {
			target := target(t, v)
			token := v.Token(t, map[string]any{"policies": []string{v.Policy(t, target.policy...)}, "ttl": "1h"})
			r := prepare(t)
			r.run(r.vaultYAML(target.connector, target.port, v, token, target.username, target.password, "cache: 10m"), "--log-level=info")
			clients := reconnect(t, 8, func() error { return target.connect(r) })
			clients.everyoneAgain(r)
			began, rotations := time.Now(), soak(t, "SECRETLESS_ROTATIONS", 25)
			for range rotations {
				target.rotate()
				clients.everyoneAgain(r)
				if clients.failed.Load() > 0 {
					break
				}
			}
			connections := clients.end()
			t.Logf("%d rotations in %v, %d connections, %d errors", rotations, time.Since(began).Round(time.Millisecond),
				connections, clients.failed.Load())
			if t.Failed() {
				t.Logf("the broker's log: %s", r.log)
			}
		})
	}
}

// Vault learns the new password first: from then until the target has it, the
// cached one is right.
func rotatePostgresKV(t *testing.T, v *testenv.VaultServer) rotated {
	server := testenv.Postgres(t, testenv.PG{AnyRole: true})
	kv, role := v.KV(t, 2), "rotated"+strings.ToLower(rand.Text()[:6])
	admin := server.Connect(t)
	run := func(statement string) {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Error(err)
		}
	}
	store := func() (password string) {
		password = rand.Text()
		v.Write(t, kv+"/data/db", map[string]any{"data": map[string]any{"username": role, "password": password}})
		return password
	}
	run(fmt.Sprintf("create role %s login password '%s'", role, store()))
	return rotated{
		connector: "pg", port: server.Port, username: fromVault(kv+"/db", "username"), password: fromVault(kv+"/db", "password"),
		policy: []string{"read " + kv + "/data/db"}, connect: (*running).briefly,
		rotate: func() { run(fmt.Sprintf("alter role %s password '%s'", role, store())) },
	}
}

func rotateMariaKV(t *testing.T, v *testenv.VaultServer) rotated {
	server := testenv.MariaDB(t, testenv.Maria{})
	kv, user := v.KV(t, 1), "rotated"+strings.ToLower(rand.Text()[:6])
	store := func() (password string) {
		password = rand.Text()
		v.Write(t, kv+"/db", map[string]any{"username": user, "password": password})
		return password
	}
	server.Exec(t, fmt.Sprintf("create user %s identified by '%s'", user, store()), fmt.Sprintf("grant all on %s.* to %s", testenv.Database, user))
	return rotated{
		connector: "mysql", port: server.Port, username: fromVault(kv+"/db", "username"), password: fromVault(kv+"/db", "password"),
		policy: []string{"read " + kv + "/db"}, connect: (*running).brieflyMySQL,
		rotate: func() { server.Exec(t, fmt.Sprintf("alter user %s identified by '%s'", user, store())) },
	}
}

func rotatePostgresDynamic(t *testing.T, v *testenv.VaultServer) rotated {
	server := testenv.Postgres(t, testenv.PG{AnyRole: true})
	path := v.PostgresRole(t, server, testenv.VaultRole{TTL: "1h", MaxTTL: "2h"})
	return dynamic(t, v, path, rotated{connector: "pg", port: server.Port, connect: (*running).briefly})
}

func rotateMariaDynamic(t *testing.T, v *testenv.VaultServer) rotated {
	server := testenv.MariaDB(t, testenv.Maria{})
	path := v.MariaRole(t, server, testenv.VaultRole{TTL: "1h", MaxTTL: "2h"})
	return dynamic(t, v, path, rotated{connector: "mysql", port: server.Port, connect: (*running).brieflyMySQL})
}

// dynamic rotates by revoking the account that is in use: it is gone at once.
func dynamic(t *testing.T, v *testenv.VaultServer, path string, r rotated) rotated {
	r.username, r.password = fromVault(path, "username"), fromVault(path, "password")
	r.policy = []string{"read " + path, "update sys/leases/revoke"}
	r.rotate = func() {
		answer, err := v.Call("LIST", "sys/leases/lookup/"+path, v.Root, nil)
		if err != nil {
			t.Error(err)
			return
		}
		data, _ := answer["data"].(map[string]any)
		keys, _ := data["keys"].([]any)
		for _, key := range keys {
			v.Write(t, "sys/leases/revoke", map[string]any{"lease_id": fmt.Sprintf("%s/%v", path, key), "sync": true})
		}
	}
	return r
}

// vaultOutage is how long Vault is gone: a few seconds, or as long as script/soak
// says.
func vaultOutage(t *testing.T) time.Duration {
	t.Helper()
	if d, err := time.ParseDuration(os.Getenv("SECRETLESS_OUTAGE")); err == nil && d > 0 {
		return d
	}
	return 6 * time.Second
}

// kvService starts a broker with a password of v's KV engine.
func kvService(t *testing.T, v *testenv.VaultServer, settings string) *running {
	t.Helper()
	server := testenv.Postgres(t, testenv.PG{})
	kv := v.KV(t, 2)
	v.Write(t, kv+"/data/db", map[string]any{"data": map[string]any{"password": server.Users.SCRAM.Password}})
	token := v.Token(t, map[string]any{"policies": []string{v.Policy(t, "read "+kv+"/data/db")}, "ttl": "1h"})
	r := prepare(t)
	r.run(r.vaultYAML("pg", server.Port, v, token, server.Users.SCRAM.Name, fromVault(kv+"/db", "password"), settings), "--log-level=info")
	return r
}

// With a warm cache and staleIfError clients do not notice that Vault is gone.
func TestVaultGoneWithStale(t *testing.T) {
	if testing.Short() {
		t.Skip("takes several seconds")
	}
	v := testenv.NewVault(t)
	r := kvService(t, v, "cache: 1s, staleIfError: 10m")
	clients := reconnect(t, 8, r.briefly)
	clients.everyoneAgain(r)
	v.Kill()
	time.Sleep(vaultOutage(t))
	v.Restart(t)
	clients.everyoneAgain(r)
	t.Logf("%d connections, %d errors with Vault gone for %v", clients.end(), clients.failed.Load(), vaultOutage(t))
	if !r.log.has("serving expired credentials") {
		t.Error("the cache was never asked past its time")
	}
}

// Without, clients are told in their protocol, within the deadline of a
// lookup, and connect again within a second of Vault's return.
func TestVaultGone(t *testing.T) {
	if testing.Short() {
		t.Skip("takes several seconds")
	}
	const timeout = 2 * time.Second
	v := testenv.NewVault(t)
	r := kvService(t, v, fmt.Sprintf("cache: 200ms, timeout: %v", timeout))
	if err := r.briefly(); err != nil {
		t.Fatal(err)
	}
	v.Kill()
	var told *pgconn.PgError
	r.eventually("the cache to end", func() bool { return errors.As(r.briefly(), &told) })
	longest, count := time.Duration(0), 0
	for end := time.Now().Add(vaultOutage(t)); time.Now().Before(end); count++ {
		began := time.Now()
		err := r.briefly()
		longest = max(longest, time.Since(began))
		if !errors.As(err, &told) || !strings.Contains(told.Message, "provider v: ") || !strings.Contains(told.Message, "cannot reach the server") {
			t.Fatalf("got %v, want an error of the protocol about the provider", err)
		}
	}
	if longest > timeout+time.Second { // what is more than the deadline is the machine's
		t.Errorf("a client waited %v, the lookup may take %v", longest, timeout)
	}
	v.Restart(t)
	back := time.Now()
	r.eventually("Vault's return to be noticed", func() bool { return r.briefly() == nil })
	recovery := time.Since(back)
	t.Logf("%d refusals, the longest after %v; connected again %v after Vault's return", count, longest.Round(time.Millisecond),
		recovery.Round(time.Millisecond))
	if recovery > 2*time.Second { // a second, and the machine's share
		t.Errorf("connected again %v after Vault's return", recovery)
	}
}
