package connectortest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"secretless/internal/provider"
	"secretless/internal/secret"
)

// double is a target: it logs clients in with the suite's ServeTarget and then
// echoes, unless a case has replaced what it does with a connection.
type double struct {
	l        net.Listener
	suite    Suite
	accepted atomic.Int64
	open     atomic.Int64
	wg       sync.WaitGroup

	mu       sync.Mutex
	password string
	handle   func(net.Conn)
	extra    []byte
	conns    map[net.Conn]bool
}

func newDouble(t *testing.T, s Suite, password string) *double {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &double{l: l, suite: s, password: password, conns: map[net.Conn]bool{}}
	d.wg.Go(d.accept)
	t.Cleanup(d.close)
	return d
}

func (d *double) addr() string { return d.l.Addr().String() }

func (d *double) accept() {
	for {
		c, err := d.l.Accept()
		if err != nil {
			return
		}
		d.accepted.Add(1)
		d.open.Add(1)
		d.mu.Lock()
		d.conns[c] = true
		handle := d.handle
		d.mu.Unlock()
		if handle == nil {
			handle = d.echo
		}
		d.wg.Go(func() {
			defer d.open.Add(-1)
			defer func() { _ = c.Close() }()
			handle(c)
		})
	}
}

// close stops listening and closes every connection.
func (d *double) close() {
	_ = d.l.Close()
	d.mu.Lock()
	for c := range d.conns {
		_ = c.Close()
	}
	d.mu.Unlock()
	d.wg.Wait()
}

// setHandle replaces what happens to connections accepted from now on.
func (d *double) setHandle(f func(net.Conn)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handle = f
}

func (d *double) setPassword(p string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.password = p
}

func (d *double) login(c net.Conn) error {
	d.mu.Lock()
	password, extra := d.password, d.extra
	d.mu.Unlock()
	_ = c.SetDeadline(time.Now().Add(patience))
	err := d.suite.ServeTarget(c, password, extra)
	_ = c.SetDeadline(time.Time{})
	return err
}

func (d *double) echo(c net.Conn) {
	if d.login(c) != nil {
		return
	}
	_, _ = io.Copy(c, c)
	_ = closeWrite(c)
	_, _ = io.Copy(io.Discard, c)
}

// source is a provider whose answers a case controls.
type source struct {
	lookups atomic.Int64

	mu     sync.Mutex
	values map[string]string
	err    error
	hang   bool
}

// Fetch answers from values.
func (s *source) Fetch(ctx context.Context, refs []string) (map[string]provider.Lease, error) {
	s.lookups.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hang {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return nil, &provider.Error{Provider: "double", Err: ctx.Err()}
	}
	if s.err != nil {
		return nil, s.err
	}
	out := map[string]provider.Lease{}
	for _, r := range refs {
		v, ok := s.values[r]
		if !ok {
			return nil, &provider.Error{Provider: "double", Ref: r, Err: errors.New("not found")}
		}
		out[r] = provider.Lease{Value: literal(v)}
	}
	return out, nil
}

func (s *source) set(ref, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[ref] = value
}

func literal(s string) secret.Value { return secret.Copy(s) }

func randomPassword() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return "pw-" + hex.EncodeToString(b)
}

func closeWrite(c net.Conn) error {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return c.Close()
}

func readFull(c net.Conn, b []byte) (int, error) { return io.ReadFull(c, b) }

// faulty is a connection that breaks at its n-th write, counted from 0: what a
// process killed at that moment looks like from the other side.
type faulty struct {
	net.Conn
	left  atomic.Int64
	broke chan struct{}
	once  sync.Once
}

func breakAt(c net.Conn, n int) *faulty {
	f := &faulty{Conn: c, broke: make(chan struct{})}
	f.left.Store(int64(n))
	return f
}

var errBroke = errors.New("broken by the test")

// Write breaks when its turn has come: the connection is closed and nothing
// of b leaves.
func (f *faulty) Write(b []byte) (int, error) {
	if f.left.Add(-1) < 0 {
		f.once.Do(func() {
			_ = f.Conn.Close()
			close(f.broke)
		})
		return 0, errBroke
	}
	return f.Conn.Write(b)
}
