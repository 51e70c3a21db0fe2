package testenv

import (
	"syscall"
	"time"
)

// program is what a server runs.
type program struct {
	Path, Dir string
	Args, Env []string // Env is all of its environment
	// Ask is the signal that ends it in order.
	Ask syscall.Signal
	// UID and GID are whose it is.
	UID, GID int
	// input is its standard input; a pipe must hold it.
	input string
}

// patience is how long a program may take to end in order.
const patience = 20 * time.Second

// process is a running program with all that it has started and that has been
// started by that; see launch.
type process struct {
	signal func(syscall.Signal) // does nothing when it has ended
	done   chan struct{}        // closed when nothing is left
	how    string               // the program ended; valid after done
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// asked asks it to end, and says whether it did.
func (p *process) asked(by syscall.Signal) bool {
	p.signal(by)
	select {
	case <-p.done:
		return true
	case <-time.After(patience):
		return false
	}
}

func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}
