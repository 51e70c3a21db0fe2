package harden

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// roleVariable makes the test binary a process that gives up its rights, or one
// that looks into another: what has been given up does not come back.
const roleVariable = "SECRETLESS_HARDEN_ROLE"

func TestMain(m *testing.M) {
	var r role
	if text := os.Getenv(roleVariable); text == "" {
		os.Exit(m.Run())
	} else if err := json.Unmarshal([]byte(text), &r); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(r.play())
}

// role is what a process of the test is to do.
type role struct {
	Level Level
	Needs Needs
	// Probe is what it tries then; its answer goes to standard output.
	Probe string
	Arg   string // of the probe
}

// result is what a probe found: errors by what was tried, empty for success.
type result map[string]string

func (r role) play() int {
	threads := startThreads()
	defer threads()
	state, err := Apply(r.Level, r.Needs)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	found := result{}
	if probe := probes[r.Probe]; probe != nil {
		probe(r.Arg, state, found)
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		return 4
	}
	if r.Probe == "wait" {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test is done with it
	}
	return 0
}

// startThreads makes threads that are there before anything is given up.
func startThreads() (stop func()) {
	const some = 4
	blocked := make([]*os.File, 0, 2*some)
	for range some {
		r, w, err := os.Pipe()
		if err != nil {
			continue
		}
		blocked = append(blocked, r, w)
		fd := int(r.Fd()) // blocking from now on: each read holds a thread
		go func() {
			var b [1]byte
			_, _ = syscall.Read(fd, b[:])
		}()
	}
	return func() {
		for _, f := range blocked {
			_ = f.Close()
		}
	}
}

// testBinary is the test binary where every user can run it.
func testBinary(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "harden")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // that is the point
		t.Fatal(err)
	}
	from, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "probe")
	if err := os.WriteFile(path, from, 0o755); err != nil { //nolint:gosec // as above
		t.Fatal(err)
	}
	return path
}

// process is the role as a process that has not been started.
func (r role) process(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path)
	// The race detector would keep each process for a second at its end.
	cmd.Env = append(os.Environ(), roleVariable+"="+string(text), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	return cmd
}

// run plays the role and returns what it found.
func (r role) run(t *testing.T) result {
	t.Helper()
	out, err := r.process(t, os.Args[0]).Output()
	if err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	return decode(t, out)
}
