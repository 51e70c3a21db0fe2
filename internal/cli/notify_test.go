//go:build unix

package cli

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"secretless/internal/broker"
)

// supervised is a broker that runs under a service manager of the test's.
type supervised struct {
	t       *testing.T
	dir     string
	manager *net.UnixConn
	signals chan os.Signal
	log     lockedBuffer
	exit    chan int
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func supervise(t *testing.T) *supervised {
	t.Helper()
	s := &supervised{t: t, dir: t.TempDir(), signals: make(chan os.Signal, 1), exit: make(chan int, 1)}
	s.write("services: { db: { connector: pg, listenOn: \"unix://DIR/s\", credentials: { host: localhost, username: u } } }")
	socket := filepath.Join(s.dir, "notify")
	var err error
	if s.manager, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	variables := map[string]string{"NOTIFY_SOCKET": socket, "WATCHDOG_USEC": "100000", "HOME": s.dir}
	go func() {
		s.exit <- Run(context.Background(), s.env(variables), []string{"-f", s.file(), "--log-format=text"})
	}()
	t.Cleanup(func() { _ = s.manager.Close() })
	return s
}

func (s *supervised) env(variables map[string]string) Env {
	return Env{
		Stdin: strings.NewReader(""), Stdout: &s.log, Stderr: &s.log,
		LookupEnv: func(name string) (string, bool) { v, ok := variables[name]; return v, ok },
		Environ:   func() []string { return nil },
		Notify:    func(...os.Signal) (<-chan os.Signal, func()) { return s.signals, func() {} },
	}
}

func (s *supervised) file() string { return filepath.Join(s.dir, "s.yml") }

func (s *supervised) write(body string) {
	s.t.Helper()
	text := "version: \"2\"\n" + body + "\nadmin: { health: \"unix://DIR/health\" }\n"
	if err := os.WriteFile(s.file(), []byte(strings.ReplaceAll(text, "DIR", s.dir)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// expect reads messages until one begins with want, and returns what is between.
func (s *supervised) expect(want string) (before []string) {
	s.t.Helper()
	_ = s.manager.SetReadDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, 4096)
	for {
		n, err := s.manager.Read(b)
		if err != nil {
			s.t.Fatalf("no %q but %q: %v\n%s", want, before, err, s.log.String())
		}
		if strings.HasPrefix(string(b[:n]), want) {
			return before
		}
		before = append(before, string(b[:n]))
	}
}

func (s *supervised) health(args ...string) (int, string) {
	var out bytes.Buffer
	env := s.env(nil)
	env.Stdout, env.Stderr = &out, &out
	code := Run(context.Background(), env, append([]string{"health"}, args...))
	return code, strings.TrimSpace(out.String())
}

// The service manager hears of everything that it waits for, in order, and of
// a reload that failed as of one that worked: it changed nothing.
func TestServiceManagerIsTold(t *testing.T) {
	s := supervise(t)
	if before := s.expect("READY=1\nSTATUS=1 services"); before != nil {
		t.Errorf("before it was ready: %q", before)
	}
	for _, args := range [][]string{{"-f", s.file()}, {"--live", "-f", s.file()}, {"--address", "unix://" + s.dir + "/health"}} {
		if code, out := s.health(args...); code != ExitOK || out != "ready" && out != "alive" {
			t.Errorf("health %v: %d, %s", args, code, out)
		}
	}
	s.expect("WATCHDOG=1")

	s.signals <- syscall.SIGHUP
	s.expect("RELOADING=1\nMONOTONIC_USEC=")
	s.expect("READY=1\nSTATUS=1 services")
	s.write("services: { db: { connector: nonsense } }")
	s.signals <- syscall.SIGHUP
	s.expect("RELOADING=1")
	s.expect("READY=1\nSTATUS=1 services; the last reload failed and changed nothing")

	s.signals <- syscall.SIGTERM
	s.expect("STOPPING=1")
	if code := <-s.exit; code != ExitOK {
		t.Errorf("exit %d:\n%s", code, s.log.String())
	}
	if code, out := s.health("--address", "unix://"+s.dir+"/health"); code != ExitFailure || !strings.Contains(out, "is it running?") {
		t.Errorf("health afterwards: %d, %s", code, out)
	}
	if strings.Contains(s.log.String(), "service manager") {
		t.Errorf("warnings about the service manager:\n%s", s.log.String())
	}
}

// A manager that cannot be reached is warned of, and the broker serves.
func TestNoServiceManager(t *testing.T) {
	s := supervise(t)
	s.expect("READY=1")
	other := &supervised{t: t, dir: t.TempDir(), signals: make(chan os.Signal, 1), exit: make(chan int, 1)}
	other.write("services: { db: { connector: pg, listenOn: \"unix://DIR/s\", credentials: { host: localhost, username: u } } }")
	other.signals <- syscall.SIGTERM
	code := Run(context.Background(), other.env(map[string]string{"NOTIFY_SOCKET": "/nowhere/notify"}), []string{"-f", other.file(), "--log-format=text"})
	if log := other.log.String(); code != ExitOK || !strings.Contains(log, "opening the service manager's NOTIFY_SOCKET") {
		t.Errorf("exit %d:\n%s", code, log)
	}
	s.signals <- syscall.SIGTERM
	<-s.exit
}

// A service that a reload took away drains, and is none of the configuration.
func TestConfiguredCountsNoServiceThatOnlyDrains(t *testing.T) {
	all := []broker.ServiceStatus{{Name: "a", Listen: []string{"tcp://127.0.0.1:1"}}, {Name: "b", Drained: true}, {Name: "gone", Draining: 2}}
	if got := configured(all); got != 2 {
		t.Errorf("got %d", got)
	}
}
