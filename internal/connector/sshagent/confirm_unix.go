//go:build unix

package sshagent

import (
	"os/exec"
	"syscall"
)

// ownGroup has the end of the command's time end its children too: a window
// left open would take an answer that counts for nothing.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
