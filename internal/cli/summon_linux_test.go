package cli

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"secretless/internal/testenv"
)

// terminal is the side of a pseudo terminal on which a user sits.
type terminal struct {
	t    *testing.T
	user *os.File

	mu   sync.Mutex
	seen bytes.Buffer
	more chan struct{} // has a place when something was added to seen
}

// newTerminal also returns the other side.
func newTerminal(t *testing.T) (*terminal, *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo terminals here:", err)
	}
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, user: user, more: make(chan struct{}, 1)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		term.read()
	}()
	t.Cleanup(func() {
		_ = program.Close()
		<-read // when the last program has closed the other side
		_ = user.Close()
	})
	return term, program
}

func (x *terminal) read() {
	b := make([]byte, 4096)
	for {
		n, err := x.user.Read(b)
		x.mu.Lock()
		x.seen.Write(b[:n])
		x.mu.Unlock()
		select {
		case x.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (x *terminal) text() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.seen.String()
}

func (x *terminal) expect(text string) {
	x.t.Helper()
	patience := time.After(30 * time.Second)
	for !strings.Contains(x.text(), text) {
		select {
		case <-x.more:
		case <-patience:
			x.t.Fatalf("%q does not appear in: %s", text, x.text())
		}
	}
}

func (x *terminal) press(keys string) {
	x.t.Helper()
	if _, err := x.user.WriteString(keys); err != nil {
		x.t.Fatal(err)
	}
}

// At a terminal, Ctrl-C reaches the command once, and Ctrl-Z and fg work as
// without us.
func TestSummonAtATerminal(t *testing.T) {
	bash := testenv.Tool(t, "bash")
	const (
		ctrlC, ctrlZ = "\x03", "\x1a"
		// A signal between the shell's last look for one and its reading waits
		// for the end of that, which is why it reads for a moment at a time. And
		// one that comes while its handler runs is lost, which is why that says
		// nothing that somebody would answer with the next.
		script = `n=0 said=0; trap 'n=$((n+1))' INT
echo ready
until read -t 0.2 -r line; do [ $n = $said ] || { said=$n; echo caught $n times; }; done
echo "total $n, line $line"; exit 3`
		shell = `set -m; trap : INT; "$0" summon --yaml "$1" bash -c "$2"; echo "stopped with $?"
fg; echo "ended with $?"`
	)
	for how, list := range lists {
		t.Run(how, func(t *testing.T) {
			term, tty := newTerminal(t)
			cmd := program(t)
			cmd.Args = []string{"bash", "-c", shell, cmd.Path, list, script}
			cmd.Path = bash
			cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			term.expect("ready")
			for n := 1; n <= 5; n++ {
				term.press(ctrlC)
				term.expect(fmt.Sprintf("caught %d times", n))
			}
			term.press(ctrlZ)
			term.expect(fmt.Sprintf("stopped with %d", 128+int(syscall.SIGTSTP)))
			term.press("hello\n")
			term.expect("total 5, line hello")
			term.expect("ended with 3")
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}
