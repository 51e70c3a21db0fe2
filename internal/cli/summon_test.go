//go:build unix

package cli

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// program is the test binary as secretless.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// testscript's Main goes by the name that it is called by.
	link := dir + "/secretless"
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(link, args...)
	cmd.Dir = dir
	return cmd
}

// lists are those with which the command takes the program's
// place, or runs beside it because there is a file to remove.
var lists = map[string]string{"in place": "A: b", "beside": "A: !file b"}

// Every exit code passes through.
func TestSummonExitCodes(t *testing.T) {
	for how, list := range lists {
		t.Run(how, func(t *testing.T) {
			step := 1
			if how == "in place" { // the kernel's doing
				step = 15
			}
			for code := 0; code < 256; code += step {
				err := program(t, "summon", "--yaml", list, "sh", "-c", "exit "+strconv.Itoa(code)).Run()
				got := 0
				if exit, ok := errors.AsType[*exec.ExitError](err); ok {
					got = exit.ExitCode()
				} else if err != nil {
					t.Fatal(err)
				}
				if got != code {
					t.Errorf("got %d, want %d", got, code)
				}
			}
		})
	}
}

// A signal reaches the command once, whose own handling counts; one that ends
// the command is 128 and its number, or what it would be without us.
func TestSummonSignals(t *testing.T) {
	for how, list := range lists {
		for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2} {
			t.Run(how+" "+s.String(), func(t *testing.T) {
				n := strconv.Itoa(int(s))
				// Between short commands: a signal just before the shell waits for
				// something long would be noticed at its end.
				cmd := program(t, "summon", "--yaml", list, "sh", "-c",
					`trap 'echo caught; exit 7' `+n+`; echo "${A}"; while :; do sleep 0.05; done`)
				out, in := launch(t, cmd)
				path := next(t, out)
				if err := cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
				if got := next(t, out); got != "caught" {
					t.Errorf("got %q", got)
				}
				if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 7 {
					t.Errorf("ended with %v, want status 7", err)
				}
				_ = in.Close()
				if _, err := os.Stat(path); strings.HasPrefix(path, "/") && !errors.Is(err, os.ErrNotExist) {
					t.Errorf("file is left: %v", err)
				}

				cmd = program(t, "summon", "--yaml", list, "sh", "-c", `echo up; exec sleep 600`)
				out, in = launch(t, cmd)
				next(t, out)
				if err := cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
				_ = cmd.Wait()
				_ = in.Close()
				status := cmd.ProcessState.Sys().(syscall.WaitStatus)
				if how == "beside" && status.ExitStatus() != 128+int(s) || how == "in place" && status.Signal() != s {
					t.Errorf("ended with %v, want signal %v", cmd.ProcessState, s)
				}
			})
		}
	}
}

func launch(t *testing.T, cmd *exec.Cmd) (*bufio.Reader, interface{ Close() error }) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return bufio.NewReader(out), in
}

func next(t *testing.T, out *bufio.Reader) string {
	t.Helper()
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}
