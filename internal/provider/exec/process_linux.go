package exec

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownGroup also makes the kernel end the command when the broker dies.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// wait waits for the command and ends what it leaves behind in its group. Until
// the command is reaped, nobody else can have the group's id.
func (g *group) wait() (*os.ProcessState, error) {
	pid := g.cmd.Process.Pid
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reaped = true
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	return g.cmd.Process.Wait()
}
