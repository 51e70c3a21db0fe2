package ssh

import "time"

// exitGrace is how long the exit status of a session waits for the end of the
// output, and the end of the output for the exit status. Mostly both arrive
// together. Where a program has ended and left its output to another, or closed
// its output and runs on, they do not.
const exitGrace = 100 * time.Millisecond

// outputEnd decides when the opener of a channel is told that the output has
// ended. In a session that must not be before the exit status: a client that
// has ended its input too closes the channel at once, the library answers with
// a close, and the exit status has no way any more. OpenSSH's server sends
// whichever it notices first.
type outputEnd struct {
	*course
	delivered <-chan struct{} // nil once it has been noticed
	exit      bool            // an exit status or signal has been passed on
	pending   bool            // the end waits to be told
	grace     *time.Timer
}

// reached notes that all output is delivered.
func (e *outputEnd) reached() {
	if e.kind != channelSession || e.exit {
		e.tell()
		return
	}
	e.pending = true
	e.grace = time.NewTimer(exitGrace)
}

// exited notes that the exit status is on its way.
func (e *outputEnd) exited() {
	e.exit = true
	if e.pending {
		e.tell()
	}
}

// timeIsUp tells the end to a client that goes on sending, and so leaves the
// channel open. Any other waits for the exit status.
func (e *outputEnd) timeIsUp() {
	select {
	case <-e.inputOver:
	default:
		if e.pending {
			e.tell()
		}
	}
}

func (e *outputEnd) tell() {
	e.pending = false
	_ = e.to.CloseWrite()
}

// graceOver never delivers before the end is reached.
func (e *outputEnd) graceOver() <-chan time.Time {
	if e.grace == nil {
		return nil
	}
	return e.grace.C
}

// await waits for the output that was sent before an exit status.
func (e *outputEnd) await() {
	if e.delivered == nil {
		return
	}
	grace := time.NewTimer(exitGrace)
	defer grace.Stop()
	select {
	case <-e.delivered:
	case <-grace.C:
	case <-e.way.over.Done():
	}
}

func (e *outputEnd) stop() {
	if e.grace != nil {
		e.grace.Stop()
	}
}
