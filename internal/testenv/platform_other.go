//go:build !linux

package testenv

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// CanBindToProcess tells whether servers end with a test process that is killed:
// only Linux can promise this. Elsewhere they are left behind then, and so is
// what a killed server has started.
func CanBindToProcess() bool { return false }

func isKeeper() bool { return false }

func keep() int { return 1 }

// launch runs a program, which writes to log.
func launch(p program, log *os.File) (*process, error) {
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.Dir, p.Env, log, log
	if p.input != "" {
		cmd.Stdin = strings.NewReader(p.input)
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	proc := &process{signal: func(s syscall.Signal) { _ = cmd.Process.Signal(s) }, done: make(chan struct{})}
	go proc.run(cmd)
	return proc, nil
}

func (p *process) run(cmd *exec.Cmd) {
	defer close(p.done)
	_ = cmd.Wait()
	p.how = cmd.ProcessState.String()
}

func serverUser() (uid, gid int, err error) {
	if os.Getuid() == 0 {
		return 0, 0, errors.New("PostgreSQL refuses to run as root: run the tests as another user")
	}
	return os.Getuid(), os.Getgid(), nil
}

func asServerUser(*exec.Cmd) error {
	_, _, err := serverUser()
	return err
}

// processExists says yes: it cannot tell, and nothing in use may be removed.
func processExists(int) bool { return true }

func freeBytes(string) uint64 { return 0 }

func removeSegment(int) {}
