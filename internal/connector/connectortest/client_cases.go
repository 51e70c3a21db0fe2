package connectortest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"net"
	"testing"
	"time"

	"secretless/internal/broker"
)

func testEcho(t *testing.T, s Suite) {
	st := newStand(t, s, options{})
	c := st.login()
	for _, size := range []int{1, 100, 70_000, 3 << 20} {
		data := make([]byte, size)
		_, _ = rand.Read(data)
		expectEcho(t, c, data)
	}
}

func testUnixSocket(t *testing.T, s Suite) {
	st := newStand(t, s, options{})
	c, err := s.Login(st.dialTo("unix", st.unix), nil)
	if err != nil {
		t.Fatal(err)
	}
	expectEcho(t, c, bytes.Repeat([]byte("unix"), 1000))
}

// A probe costs neither a lookup nor a target connection.
func testProbe(t *testing.T, s Suite) {
	st := newStand(t, s, options{})
	for range 20 {
		_ = st.dial().Close()
	}
	eventually(t, "the probes' connections to end", func() bool { return st.broker.Status()[0].Active == 0 })
	st.expectUntouched()
	expectEcho(t, st.login(), []byte("still there"))
}

func testSilentClient(t *testing.T, s Suite) {
	st := newStand(t, s, options{limits: broker.Limits{HandshakeTimeout: 200 * time.Millisecond}})
	st.expectClosed(st.dial())
	st.expectUntouched()
}

func (st *stand) expectUntouched() {
	st.t.Helper()
	if n := st.source.lookups.Load(); n != 0 {
		st.t.Errorf("%d lookups, want none", n)
	}
	if n := st.double.accepted.Load(); n != 0 {
		st.t.Errorf("%d target connections, want none", n)
	}
}

// expectClosed wants the broker to end the connection; what it says before
// that is read over.
func (st *stand) expectClosed(c net.Conn) {
	st.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, c)
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		st.t.Fatal("the broker left the connection open")
	}
}

// A greeting that comes byte by byte is as good as any, within the timeout.
func testSlowClient(t *testing.T, s Suite) {
	st := newStand(t, s, options{})
	c, err := s.Login(&dribble{Conn: st.dial()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d, ok := c.(*dribble); ok {
		c = d.Conn
	}
	expectEcho(t, c, []byte("slow but sure"))
}

// dribble writes byte by byte.
type dribble struct {
	net.Conn
	pause time.Duration
}

func (d *dribble) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := d.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
		time.Sleep(d.pause)
	}
	return len(b), nil
}

// The timeout covers the whole greeting, not the time between two bytes.
func testDribblingClient(t *testing.T, s Suite) {
	st := newStand(t, s, options{limits: broker.Limits{HandshakeTimeout: 300 * time.Millisecond}})
	c := st.dial()
	go func() { _, _ = (&dribble{Conn: c, pause: 100 * time.Millisecond}).Write(s.Greeting) }()
	st.expectClosed(c)
	st.expectUntouched()
}

// Whatever a client sends, it is closed in time and the next one is served.
func testRandomGreetings(t *testing.T, s Suite) {
	st := newStand(t, s, options{limits: broker.Limits{HandshakeTimeout: 500 * time.Millisecond}})
	random := mathrand.New(mathrand.NewPCG(1, 2))
	var open []net.Conn
	for i := range 200 {
		c := st.dial()
		_, _ = c.Write(mangled(random, s.Greeting, i))
		open = append(open, c)
	}
	for _, c := range open {
		st.expectClosed(c)
	}
	expectEcho(t, st.login(), []byte("still there"))
}

// mangled is noise, or the greeting with noise in it. It is never the greeting
// itself, which would be served.
func mangled(random *mathrand.Rand, greeting []byte, i int) []byte {
	if i%2 == 0 {
		noise := make([]byte, 1+random.IntN(2000))
		for j := range noise {
			noise[j] = byte(random.Uint32())
		}
		return noise
	}
	m := bytes.Clone(greeting[:1+random.IntN(len(greeting)-1)])
	m[random.IntN(len(m))] ^= byte(1 + random.IntN(255))
	return m
}

// A client that never stops greeting is cut off, with bounded memory.
func testEndlessGreeting(t *testing.T, s Suite) {
	st := newStand(t, s, options{limits: broker.Limits{HandshakeTimeout: 2 * time.Second}})
	c := st.dial()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		block := bytes.Repeat([]byte{0xff}, 64<<10)
		for {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	}()
	select {
	case <-sent:
	case <-time.After(patience):
		t.Fatal("the broker goes on reading")
	}
	st.expectUntouched()
}

// A client killed at any moment of the login costs the target nothing for
// longer than a moment.
func testClientGone(t *testing.T, s Suite) {
	for n := 1; n < 20; n++ {
		st := newStand(t, s, options{})
		broken := breakAt(st.dial(), n)
		_, err := s.Login(broken, nil)
		_ = broken.Close()
		eventually(t, "the target connection to end", func() bool { return st.double.open.Load() == 0 && st.broker.Status()[0].Active == 0 })
		if err == nil {
			return // n is beyond the last write of a login
		}
	}
}

func testConcurrentClients(t *testing.T, s Suite) {
	st := newStand(t, s, options{cache: time.Minute})
	const clients = 100
	failures := make(chan error, clients)
	for i := range clients {
		go func() { failures <- st.oneClient(byte(i)) }()
	}
	for range clients {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
	if n := st.source.lookups.Load(); n > clients/2 {
		t.Errorf("%d lookups for %d clients with a cache", n, clients)
	}
}

func (st *stand) oneClient(mark byte) error {
	conn, err := net.DialTimeout("tcp", st.tcp, patience)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(3 * patience))
	c, err := st.suite.Login(conn, nil)
	if err != nil {
		return err
	}
	data := bytes.Repeat([]byte{mark}, 10_000)
	if _, err := c.Write(data); err != nil {
		return err
	}
	got := make([]byte, len(data))
	if _, err := readFull(c, got); err != nil {
		return err
	}
	if !bytes.Equal(got, data) {
		return errors.New("a client got another one's bytes")
	}
	return nil
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
