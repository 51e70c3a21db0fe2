//go:build unix

package sdnotify_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"secretless/internal/sdnotify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func environment(pairs map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := pairs[name]
		return v, ok
	}
}

// manager is a service manager's socket.
func manager(t *testing.T) (string, *net.UnixConn) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return path, conn
}

func receive(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 4096)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestMessages(t *testing.T) {
	path, conn := manager(t)
	n, err := sdnotify.New(environment(map[string]string{"NOTIFY_SOCKET": path}), 7)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, c := range []struct {
		send func() error
		want string
	}{
		{func() error { return n.Ready("2 services\nREADY=0") }, "READY=1\nSTATUS=2 services READY=0"},
		{n.Reloading, "RELOADING=1\nMONOTONIC_USEC="},
		{n.Stopping, "STOPPING=1\nSTATUS=draining connections"},
		{n.Alive, "WATCHDOG=1"},
	} {
		if err := c.send(); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, conn); !strings.HasPrefix(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	n, err := sdnotify.New(environment(nil), 7)
	if n != nil || err != nil {
		t.Fatalf("got %v, %v", n, err)
	}
	if err := n.Ready("x"); err != nil {
		t.Error(err)
	}
	n.Close()
}

func TestSettings(t *testing.T) {
	path, _ := manager(t)
	for name, c := range map[string]struct {
		env      map[string]string
		interval time.Duration
		err      string
	}{
		"no watchdog":  {env: map[string]string{"NOTIFY_SOCKET": path}},
		"watchdog":     {env: map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, interval: 15 * time.Second},
		"any process":  {env: map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000000"}, interval: 15 * time.Second},
		"another's":    {env: map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}},
		"no time":      {env: map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "soon"}, err: `WATCHDOG_USEC is "soon"`},
		"endless":      {env: map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "9223372036854775807"}, err: "WATCHDOG_USEC is"},
		"too short":    {env: map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1"}, err: "WATCHDOG_USEC is"},
		"no path":      {env: map[string]string{"NOTIFY_SOCKET": "vsock:2:1"}, err: "want an absolute path"},
		"nobody there": {env: map[string]string{"NOTIFY_SOCKET": path + ".no"}, err: "opening the service manager's NOTIFY_SOCKET"},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := sdnotify.New(environment(c.env), 7)
			t.Cleanup(n.Close)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Fatalf("got %v, want %q", err, c.err)
			}
			if n != nil && n.Interval != c.interval {
				t.Errorf("interval %v, want %v", n.Interval, c.interval)
			}
		})
	}
}

// A manager that does not read costs a second, not the broker.
func TestManagerThatDoesNotRead(t *testing.T) {
	path, _ := manager(t)
	n, err := sdnotify.New(environment(map[string]string{"NOTIFY_SOCKET": path}), 7)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for range 10_000 {
		if err = n.Alive(); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "telling the service manager WATCHDOG") {
		t.Errorf("got %v", err)
	}
}
