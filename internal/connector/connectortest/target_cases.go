package connectortest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"secretless/internal/broker"
	"secretless/internal/provider"
)

func testTargetDown(t *testing.T, s Suite) {
	st := newStand(t, s, options{})
	_, port, _ := net.SplitHostPort(st.double.addr())
	st.double.close()
	if r := st.refused(); !strings.Contains(r.Text, port) {
		t.Errorf("the error does not say which target: %v", r)
	}
}

func testTargetNameUnknown(t *testing.T, s Suite) {
	st := newStand(t, s, options{host: "no-such-host.invalid", port: "1"})
	if r := st.refused(); !strings.Contains(r.Text, "no-such-host.invalid") {
		t.Errorf("the error does not say which target: %v", r)
	}
}

// A target that accepts and says nothing is given up in time.
func testTargetSilent(t *testing.T, s Suite) {
	st := newStand(t, s, options{limits: broker.Limits{HandshakeTimeout: 500 * time.Millisecond}})
	st.double.setHandle(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	st.refused()
	eventually(t, "the target connection to end", func() bool { return st.double.open.Load() == 0 })
}

// A target killed at any moment of the login is an error of the protocol, and
// the broker goes on.
func testTargetGone(t *testing.T, s Suite) {
	for n := range 20 {
		st := newStand(t, s, options{})
		st.double.setHandle(func(c net.Conn) {
			broken := breakAt(c, n)
			if st.double.login(broken) == nil {
				_, _ = io.Copy(broken, broken)
			}
		})
		c, err := s.Login(st.dial(), nil)
		if err == nil {
			_ = c.Close()
			return // n is beyond the last write of a login
		}
		if _, ok := errors.AsType[*Refusal](err); !ok {
			t.Errorf("target gone at write %d: the client got %v, want an error of its protocol", n, err)
		}
		st.double.setHandle(nil)
		expectEcho(t, st.login(), []byte("still there"))
	}
}

func testTargetGarbage(t *testing.T, s Suite) {
	st := newStand(t, s, options{limits: broker.Limits{HandshakeTimeout: time.Second}})
	for size := 1; size < 5000; size *= 3 {
		st.double.setHandle(func(c net.Conn) {
			noise := make([]byte, size)
			_, _ = rand.Read(noise)
			_, _ = c.Write(noise)
			_ = closeWrite(c)
			_, _ = io.Copy(io.Discard, c)
		})
		st.refused()
	}
}

// A target that never stops talking is cut off, with bounded memory.
func testTargetEndless(t *testing.T, s Suite) {
	st := newStand(t, s, options{limits: broker.Limits{HandshakeTimeout: 2 * time.Second}})
	st.double.setHandle(func(c net.Conn) {
		block := bytes.Repeat([]byte{'R', 0x7f, 0xff, 0xff, 0xff}, 10_000)
		for {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	})
	st.refused()
	eventually(t, "the target connection to end", func() bool { return st.double.open.Load() == 0 })
}

func testProviderFails(t *testing.T, s Suite) {
	st := newStand(t, s, options{})
	st.source.mu.Lock()
	st.source.err = &provider.Error{Provider: "double", Ref: "db/password", Err: errors.New("permission denied")}
	st.source.mu.Unlock()
	r := st.refused()
	for _, want := range []string{"double", "db/password", "permission denied"} {
		if !strings.Contains(r.Text, want) {
			t.Errorf("the error lacks %q: %v", want, r)
		}
	}
	if n := st.double.accepted.Load(); n != 0 {
		t.Errorf("%d target connections without credentials", n)
	}
}

func testProviderSlow(t *testing.T, s Suite) {
	st := newStand(t, s, options{limits: broker.Limits{HandshakeTimeout: 500 * time.Millisecond}})
	st.source.mu.Lock()
	st.source.hang = true
	st.source.mu.Unlock()
	st.refused()
	if n := st.double.accepted.Load(); n != 0 {
		t.Errorf("%d target connections without credentials", n)
	}
}

func testWrongPassword(t *testing.T, s Suite) {
	st := newStand(t, s, options{})
	st.double.setPassword(randomPassword())
	first := st.refused()
	// However often clients try, the account is not hammered.
	for range 30 {
		st.refused()
	}
	if n := st.double.accepted.Load(); n > 12 {
		t.Errorf("%d logins at the target with a password that it has rejected (%v)", n, first)
	}
}

// A rotated password is fetched again before the client notices.
func testRotation(t *testing.T, s Suite) {
	st := newStand(t, s, options{cache: time.Hour})
	expectEcho(t, st.login(), []byte("before"))
	next := randomPassword()
	st.canary.add(next)
	st.double.setPassword(next)
	st.source.set("db/password", next)
	expectEcho(t, st.login(), []byte("after"))
	if n := st.source.lookups.Load(); n != 2 {
		t.Errorf("%d lookups, want one before and one after the rotation", n)
	}
	expectEcho(t, st.login(), []byte("cached again"))
	if n := st.source.lookups.Load(); n != 2 {
		t.Errorf("%d lookups, want the new password cached", n)
	}
}

// Bytes that arrive with the last message of a login are not lost, in either
// direction.
func testEarlyBytes(t *testing.T, s Suite) {
	st := newStand(t, s, options{})
	const early, extra = "the client was early;", "so was the target;"
	st.double.mu.Lock()
	st.double.extra = []byte(extra)
	st.double.mu.Unlock()
	c, err := s.Login(st.dial(), []byte(early))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(extra)+len(early))
	if _, err := readFull(c, got); err != nil {
		t.Fatalf("after %q: %v", got, err)
	}
	if string(got) != extra+early {
		t.Fatalf("got %q, want %q", got, extra+early)
	}
}

// After the client's end of file the target's answer still arrives.
func testHalfCloseByClient(t *testing.T, s Suite) {
	st := newStand(t, s, options{})
	st.double.setHandle(func(c net.Conn) {
		if st.double.login(c) != nil {
			return
		}
		all, _ := io.ReadAll(c)
		_, _ = c.Write(append([]byte("got "), all...))
	})
	c := st.login()
	if _, err := c.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	if err := closeWrite(c); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil || string(answer) != "got question" {
		t.Fatalf("got %q, %v", answer, err)
	}
}

// After the target's end of file it still gets what the client sends.
func testHalfCloseByTarget(t *testing.T, s Suite) {
	st := newStand(t, s, options{})
	received := make(chan string, 1)
	st.double.setHandle(func(c net.Conn) {
		if st.double.login(c) != nil {
			received <- "no login"
			return
		}
		_, _ = c.Write([]byte("goodbye"))
		_ = closeWrite(c)
		all, _ := io.ReadAll(c)
		received <- string(all)
	})
	c := st.login()
	if said, err := io.ReadAll(c); err != nil || string(said) != "goodbye" {
		t.Fatalf("got %q, %v", said, err)
	}
	if _, err := c.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	_ = closeWrite(c)
	if got := <-received; got != "last words" {
		t.Fatalf("the target got %q", got)
	}
}
