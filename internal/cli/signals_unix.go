//go:build unix

package cli

import (
	"os"
	"syscall"
)

// lifecycleSignals are what serve listens to.
func lifecycleSignals() []os.Signal {
	return []os.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGTERM, syscall.SIGINT}
}

// isReload tells the signals that mean reload from those that mean stop.
func isReload(s os.Signal) bool { return s == syscall.SIGHUP || s == syscall.SIGUSR1 }

// signalExitCode is the shell's convention for a process that a signal ended.
func signalExitCode(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return ExitFailure
}
