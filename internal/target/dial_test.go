package target

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"secretless/internal/testenv"
)

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestDial(t *testing.T) {
	for name, l := range map[string]net.Listener{
		"IPv4":   listen(t, "tcp4", "127.0.0.1:0"),
		"socket": listen(t, "unix", filepath.Join(t.TempDir(), "s")),
	} {
		t.Run(name, func(t *testing.T) {
			a := Address{Host: l.Addr().String()}
			if tcp, ok := l.Addr().(*net.TCPAddr); ok {
				a = Address{Host: tcp.IP.String(), Port: tcp.Port}
			}
			conn, err := Dial(t.Context(), Options{Address: a})
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
		})
	}
}

// A name may stand for an address that nobody answers: the next one is tried.
func TestDialTriesEveryAddress(t *testing.T) {
	l := listen(t, "tcp4", "127.0.0.1:0") // localhost is ::1 too, where nothing listens
	conn, err := Dial(t.Context(), Options{Address: Address{Host: "localhost", Port: l.Addr().(*net.TCPAddr).Port}})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

func TestDialRefused(t *testing.T) {
	a := Address{Host: "127.0.0.1", Port: testenv.Refusing(t).Port}
	_, err := Dial(t.Context(), Options{Address: a})
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Op != OpConnect || !e.Refused() || e.NotFound() || e.Timeout() {
		t.Fatalf("%#v", err)
	}
	want := "connecting to the target " + a.String() + ": connection refused; check that the target runs there and the credentials host and port"
	if err.Error() != want {
		t.Errorf("got %s", err)
	}
}

func TestDialTimeout(t *testing.T) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err := Dial(ctx, Options{Address: Address{Host: "127.0.0.1", Port: 1}})
	if e, ok := errors.AsType[*Error](err); !ok || !e.Timeout() || e.Refused() {
		t.Errorf("%#v", err)
	}
}

func TestErrorTexts(t *testing.T) {
	wrap := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	tests := map[string]struct {
		err  Error
		want string
	}{
		"no such host":   {Error{OpResolve, "db:1", wrap(&net.DNSError{Err: "no such host", Name: "db", IsNotFound: true}), ""}, "resolving the target db:1: no such host; check the credential host, and the name server of the broker's machine"},
		"slow resolver":  {Error{OpResolve, "db:1", wrap(&net.DNSError{Err: "i/o timeout", Name: "db", IsTimeout: true}), ""}, "resolving the target db:1: the name server did not answer in time; check the name service of the broker's machine"},
		"other resolver": {Error{OpResolve, "db:1", wrap(&net.DNSError{Err: "server misbehaving", Name: "db"}), ""}, "resolving the target db:1: lookup db: server misbehaving; check the credential host, and the name server of the broker's machine"},
		"refused":        {Error{OpConnect, "db:1", wrap(os.NewSyscallError("connect", syscall.ECONNREFUSED)), ""}, "connecting to the target db:1: connection refused; check that the target runs there and the credentials host and port"},
		"no socket":      {Error{OpConnect, "/run/s", wrap(os.NewSyscallError("connect", syscall.ENOENT)), ""}, "connecting to the target /run/s: no such socket file; check that the target runs and the credential host"},
		"refused, named": {Error{OpConnect, "h:22", wrap(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "address"}, "connecting to the target h:22: connection refused; check that the target runs there and the credential address"},
		"no host, named": {Error{OpResolve, "h:22", wrap(&net.DNSError{Err: "no such host", Name: "h", IsNotFound: true}), "address"}, "resolving the target h:22: no such host; check the credential address, and the name server of the broker's machine"},
		"timeout, named": {Error{OpConnect, "h:22", wrap(os.ErrDeadlineExceeded), "address"}, "connecting to the target h:22: no answer in time; check the credential address, and firewalls on the way"},
		"no right":       {Error{OpConnect, "/run/s", wrap(os.NewSyscallError("connect", syscall.EACCES)), ""}, "connecting to the target /run/s: permission denied; let the broker's user reach the target"},
		"timeout":        {Error{OpConnect, "db:1", wrap(os.ErrDeadlineExceeded), ""}, "connecting to the target db:1: no answer in time; check the credentials host and port, and firewalls on the way"},
		"other":          {Error{OpConnect, "db:1", wrap(os.NewSyscallError("connect", errors.New("network is unreachable"))), ""}, "connecting to the target db:1: network is unreachable; check the credentials host and port, and the network"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.err.Error(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if !errors.Is(&test.err, test.err.Err) {
				t.Error("the cause is lost")
			}
		})
	}
}

func TestResolve(t *testing.T) {
	_, err := Dial(t.Context(), Options{Address: Address{Host: "nowhere.invalid", Port: 1}})
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Op != OpResolve || !strings.HasPrefix(err.Error(), "resolving the target nowhere.invalid:1: ") {
		t.Errorf("%v", err)
	}
}

func TestWatch(t *testing.T) {
	pipe := func() (net.Conn, net.Conn) {
		a, b := net.Pipe()
		t.Cleanup(func() { _, _ = a.Close(), b.Close() })
		return a, b
	}
	t.Run("ends a read", func(t *testing.T) {
		a, _ := pipe()
		ctx, cancel := context.WithCancel(t.Context())
		release := Watch(ctx, a)
		cancel()
		if _, err := a.Read(make([]byte, 1)); !isTimeout(err) {
			t.Errorf("got %v", err)
		}
		release()
	})
	t.Run("leaves no deadline", func(t *testing.T) {
		for range 200 { // release and cancel race
			a, b := net.Pipe()
			ctx, cancel := context.WithCancel(t.Context())
			release := Watch(ctx, a)
			go cancel()
			release()
			go func() { _, _ = b.Write([]byte("x")) }()
			if _, err := a.Read(make([]byte, 1)); err != nil {
				t.Fatalf("after release: %v", err)
			}
			_, _ = a.Close(), b.Close()
		}
	})
}
