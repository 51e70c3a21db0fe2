package testenv

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// leaving forks for ever, also while it is being ended: children in sessions of
// their own whose parents end, and a chain of them in which each ends as soon as
// it has forked the next.
const leaving = `trap 'setsid sleep 300 & exit 3' TERM
export CHAIN='sleep 0.001; sh -c "$CHAIN" &'
(setsid sh -c "$CHAIN" &)
leave() { (setsid sh -c 'sleep 300 & setsid sleep 300' &) ; }
leave; leave
echo ready
while :; do leave; sleep 0.01; done
`

func leavingProgram() program {
	return program{
		Path: "/bin/sh", Args: []string{"-c", leaving}, Dir: "/", Env: bareEnv("/"),
		Ask: syscall.SIGTERM, UID: os.Getuid(), GID: os.Getgid(),
	}
}

// awaitReady reads what leaving has printed.
func awaitReady(t *testing.T, printed *bufio.Reader) {
	t.Helper()
	if line, err := printed.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("it prints %q: %v", line, err)
	}
}

// awaitNobody waits until no process holds the other end of what it prints.
func awaitNobody(t *testing.T, printed io.Reader) {
	t.Helper()
	if rest, err := io.ReadAll(printed); err != nil {
		t.Errorf("a process is left: %v; printed: %s", err, rest)
	}
}

func deadlinePipe(t *testing.T) (printed *bufio.Reader, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(r), w
}

func TestNothingOutlivesAServer(t *testing.T) {
	for name, c := range map[string]struct {
		end func(*process)
		how string
	}{
		"killed":    {func(p *process) { p.kill() }, "signal: killed"},
		"asked":     {func(p *process) { p.asked(syscall.SIGTERM) }, "exit status 3"},
		"by itself": {func(p *process) { p.signal(syscall.SIGHUP); <-p.done }, "signal: hangup"},
	} {
		t.Run(name, func(t *testing.T) {
			printed, w := deadlinePipe(t)
			p, err := launch(leavingProgram(), w)
			if err != nil {
				t.Fatal(err)
			}
			_ = w.Close()
			awaitReady(t, printed)
			c.end(p)
			if p.how != c.how {
				t.Errorf("it ended with %q, want %q", p.how, c.how)
			}
			awaitNobody(t, printed)
			p.signal(syscall.SIGKILL) // of an ended one: nothing
		})
	}
}

const holdLeaving = "SECRETLESS_TEST_HOLD_LEAVING"

// TestHoldLeaving is not a test of its own: the next one runs it in a process
// that it kills.
func TestHoldLeaving(t *testing.T) {
	if os.Getenv(holdLeaving) == "" {
		t.Skip("only for TestNothingOutlivesTheTests")
	}
	if _, err := launch(leavingProgram(), os.NewFile(3, "log")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
}

func TestNothingOutlivesTheTests(t *testing.T) {
	printed, w := deadlinePipe(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestHoldLeaving$")
	cmd.Env = append(os.Environ(), holdLeaving+"=1")
	cmd.ExtraFiles = []*os.File{w}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	awaitReady(t, printed)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	awaitNobody(t, printed)
}

func TestProgramThatCannotRun(t *testing.T) {
	p := leavingProgram()
	p.Path = "/nowhere/sh"
	if _, err := launch(p, os.Stderr); err == nil || !strings.Contains(err.Error(), "run /nowhere/sh: no such file") {
		t.Error(err)
	}
}
