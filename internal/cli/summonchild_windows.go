package cli

import (
	"errors"
	"os"
)

// forwardedSignals are noticed so that they do not end us before the command.
func forwardedSignals() []os.Signal { return []os.Signal{os.Interrupt} }

// sentToAll: Ctrl-C goes to every process of the console, and there is no other
// signal.
func sentToAll(os.Signal) bool { return true }

// replaceable: Windows has no exec.
func replaceable(Env) bool { return false }

func replace(string, []string, []string) error {
	return errors.New("running the command: not possible on this system")
}

func codeOf(state *os.ProcessState) int { return state.ExitCode() }
