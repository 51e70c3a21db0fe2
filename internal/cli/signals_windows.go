package cli

import (
	"os"
	"syscall"
)

// lifecycleSignals are what serve listens to; Windows has no reload signals,
// use --watch.
func lifecycleSignals() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

func isReload(os.Signal) bool { return false }

// signalExitCode is the shell's convention for a process that a signal ended.
func signalExitCode(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return ExitFailure
}
