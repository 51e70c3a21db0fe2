package relay

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// patience bounds what should happen soon, on a machine that may be busy.
const patience = 30 * time.Second

// engines are the relays that every test of behaviour runs against.
var engines = []struct {
	name string
	make func(t testing.TB) Relay
}{
	{"default", newDefault},
	{"goroutines", func(testing.TB) Relay { return newEngine() }},
}

// ownerFunc is an owner that is a function.
type ownerFunc func(Result)

func (f ownerFunc) Done(r Result) { f(r) }

func newDefault(t testing.TB) Relay {
	t.Helper()
	r, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// eachEngine runs f with every relay, and checks that closing it leaves no
// descriptor behind.
func eachEngine(t *testing.T, f func(t *testing.T, r Relay)) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			before := descriptors(t)
			r := e.make(t)
			// Nested, so that the programs' ends are closed before the count.
			t.Run("pairs", func(t *testing.T) { f(t, r) })
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			soon(t, "all descriptors are closed", func() bool { return descriptors(t) <= before })
		})
	}
}

func descriptors(t testing.TB) int {
	if runtime.GOOS != "linux" {
		return 0
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func soon(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}

// connect returns the two ends of a new connection: far is what a client or
// server program would hold, near what the relay is given.
func connect(t testing.TB, kind string) (far, near net.Conn) {
	t.Helper()
	network, address := "tcp", "127.0.0.1:0"
	if kind == "unix" {
		dir, err := os.MkdirTemp("", "relay")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		network, address = "unix", filepath.Join(dir, "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if far, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if near, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	if kind == "tls" {
		far, near = handshake(t, far, near)
	}
	t.Cleanup(func() { far.Close() })
	return far, near
}

func handshake(t testing.TB, far, near net.Conn) (net.Conn, net.Conn) {
	t.Helper()
	server := tls.Server(near, &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
	client := tls.Client(far, &tls.Config{InsecureSkipVerify: true})
	failed := make(chan error, 1)
	go func() { failed <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	return client, server
}

func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// relayed is a running pair with the programs' ends of both connections.
type relayed struct {
	client, target net.Conn
	handle         Handle
	result         chan Result
}

// join starts a pair of the two kinds; change may alter it before.
func join(t testing.TB, r Relay, clientKind, targetKind string, change func(*Pair)) *relayed {
	t.Helper()
	c := &relayed{result: make(chan Result, 2)}
	var p Pair
	c.client, p.Client = connect(t, clientKind)
	c.target, p.Target = connect(t, targetKind)
	p.Owner = ownerFunc(func(r Result) { c.result <- r })
	if change != nil {
		change(&p)
	}
	c.handle = r.Start(p)
	return c
}

// end returns the pair's result, and checks that it is told once.
func (c *relayed) end(t testing.TB) Result {
	t.Helper()
	select {
	case r := <-c.result:
		return r
	case <-time.After(patience):
		t.Fatalf("pair has not ended after %v", patience)
	}
	return Result{}
}

func (c *relayed) running(t testing.TB) {
	t.Helper()
	select {
	case r := <-c.result:
		t.Fatalf("pair has ended: %+v", r)
	default:
	}
}

func closeWrite(t testing.TB, c net.Conn) {
	t.Helper()
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Error(err)
	}
}

func write(t testing.TB, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Error(err)
	}
}

// expect reads exactly want.
func expect(t testing.TB, c net.Conn, want string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, []byte(want)) {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

// expectEnd reads the end of file.
func expectEnd(t testing.TB, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("read %d bytes, %v; want the end of file", n, err)
	}
}
