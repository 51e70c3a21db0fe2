// Package testenv gives tests real servers and clients: private PostgreSQL
// servers of several versions, MariaDB, a front for it that logs in as MySQL 8
// does, OpenSSH's server, a Kubernetes API server, HashiCorp Vault, a certificate
// authority, and the programs and drivers that talk to them. Only tests import it.
//
// A package that uses servers calls Main from its TestMain. Servers start when
// a test first asks for them, are shared by the tests of one process, and end
// with it, whichever way it ends. script/setup installs what they need.
package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

// environment is what one test process has started.
type environment struct {
	main     atomic.Bool // Main has been called
	mu       sync.Mutex
	base     string
	pki      *PKI
	users    *Users
	postgres map[PG]*once[*Server]
	initial  map[int]*once[string]
	running  []server // those that are shared
	mariadb  mariadbServers
	facade   facades
	sshd     sshServers
	kube     once[*KubeServer]
	vault    once[*VaultServer]
}

// env is the one global of the project's tests: servers are shared by tests
// that know nothing of each other.
var env = &environment{
	postgres: map[PG]*once[*Server]{},
	initial:  map[int]*once[string]{},
	mariadb:  mariadbServers{shared: map[Maria]*once[*MariaServer]{}},
	facade:   facades{shared: map[Facade]*once[*FacadeServer]{}},
	sshd:     sshServers{shared: map[SSH]*once[*SSHServer]{}},
}

// Main runs the tests, stops every server, and fails the run if one had ended
// by itself or goroutines are left. It is the body of a TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }
func Main(m *testing.M, opts ...goleak.Option) int {
	if isKeeper() {
		return keep()
	}
	env.main.Store(true)
	sweep()
	code := m.Run()
	if err := env.close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	if code != 0 {
		return code
	}
	if err := goleak.Find(opts...); err != nil {
		fmt.Fprintln(os.Stderr, "goroutines left after the tests:", err)
		return 1
	}
	return 0
}

// LeakOptions lets goleak.VerifyNone be used while shared servers run.
func LeakOptions() []goleak.Option {
	return []goleak.Option{goleak.IgnoreAnyFunction("secretless/internal/testenv.(*process).run")}
}

func (e *environment) close() error {
	e.mu.Lock()
	base, died := e.base, make([]error, len(e.running))
	var all sync.WaitGroup
	for i, s := range e.running {
		all.Go(func() { died[i] = s.close() })
	}
	e.mu.Unlock()
	all.Wait()
	if base != "" {
		_ = os.RemoveAll(base)
	}
	return errors.Join(died...)
}

const basePrefix = "secretless-test-"

// tempRoot is where data directories go: memory where there is plenty, because
// a data directory is a thousand small files that are soon deleted again.
func tempRoot() string {
	if os.Getenv("TMPDIR") == "" && freeBytes("/dev/shm") > 4<<30 {
		return "/dev/shm"
	}
	// The path of a socket may have no more than 107 bytes.
	if dir := os.TempDir(); len(dir) < 40 {
		return dir
	}
	return "/tmp"
}

// baseDir makes the directory of this process's servers; their user can enter.
func (e *environment) baseDir() (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.base != "" {
		return e.base, nil
	}
	dir, err := os.MkdirTemp(tempRoot(), basePrefix+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		return "", err
	}
	e.base = dir
	return dir, nil
}

// sweep removes what test processes that were killed have left. Their servers
// are gone: those die with the process.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(tempRoot(), basePrefix+"*"))
	for _, dir := range dirs {
		rest := strings.TrimPrefix(filepath.Base(dir), basePrefix)
		pid, err := strconv.Atoi(strings.SplitN(rest, "-", 2)[0])
		if err == nil && pid > 0 && !processExists(pid) {
			_ = os.RemoveAll(dir)
		}
	}
}

// require ends the test because something is not installed: it is skipped on a
// developer's machine and fails where CI is set, so that nothing is skipped
// unnoticed there.
func require(t testing.TB, what string) {
	t.Helper()
	msg := what + " is not installed; run script/setup"
	if ci := os.Getenv("CI"); ci != "" && ci != "false" {
		t.Fatal(msg)
	}
	t.Skip(msg)
}
