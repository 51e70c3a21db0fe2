//go:build unix

package cli

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// forwardedSignals are passed on to the command. Those of job control stop and
// continue both of us, which is as it should be.
func forwardedSignals() []os.Signal {
	return []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2}
}

// sentToAll tells a signal of the terminal's keys, which the command has got as
// well, since both of us are in the foreground: twice would be once too often
// for programs that take the second Ctrl-C for impatience.
func sentToAll(s os.Signal) bool {
	if s != syscall.SIGINT && s != syscall.SIGQUIT {
		return false
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer func() { _ = tty.Close() }()
	foreground, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}

// replaceable tells whether the streams are the process's own, which is what a
// program gets that takes its place.
func replaceable(env Env) bool {
	return env.Stdin == os.Stdin && env.Stdout == os.Stdout && env.Stderr == os.Stderr
}

// replace returns only if it fails.
func replace(path string, argv, environ []string) error {
	return fmt.Errorf("running %s: %w", path, syscall.Exec(path, argv, environ))
}

func codeOf(state *os.ProcessState) int {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return signalExitCode(ws.Signal())
	}
	return state.ExitCode()
}
