//go:build unix && !linux

package exec

import (
	"os"
	"syscall"
)

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// wait waits for the command and ends what it leaves behind in its group. If
// that is empty, its id was free for a moment; ids are not given out again so
// soon.
func (g *group) wait() (*os.ProcessState, error) {
	state, err := g.cmd.Process.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reaped = true
	_ = syscall.Kill(-g.cmd.Process.Pid, syscall.SIGKILL)
	return state, err
}
