//go:build unix

package exec

import (
	"errors"
	"os"
	osexec "os/exec"
	"sync"
	"syscall"
	"time"
)

// group is a running command with everything it has started, unless that has
// left the process group. The command has a session of its own as well: it
// cannot ask anything at the broker's terminal.
type group struct {
	cmd *osexec.Cmd

	mu     sync.Mutex
	reaped bool // from then on the id may be somebody else's
}

func startGroup(cmd *osexec.Cmd) (*group, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &group{cmd: cmd}, nil
}

func (g *group) terminate() { g.signal(syscall.SIGTERM) }

func (g *group) kill() { g.signal(syscall.SIGKILL) }

func (g *group) signal(s syscall.Signal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.reaped {
		_ = syscall.Kill(-g.cmd.Process.Pid, s)
	}
}

func signalOf(state *os.ProcessState) string {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return ws.Signal().String()
	}
	return ""
}

// readPresent reads what is in a pipe without waiting for more.
func readPresent(f *os.File, b []byte) (n int) {
	raw, err := f.SyscallConn()
	if err != nil || f.SetReadDeadline(time.Time{}) != nil {
		return 0
	}
	_ = raw.Read(func(fd uintptr) bool {
		for {
			n, err = syscall.Read(int(fd), b)
			if !errors.Is(err, syscall.EINTR) {
				return true
			}
		}
	})
	return max(n, 0)
}
