package cli

import (
	"runtime"
	"runtime/debug"
	"time"

	"secretless/internal/broker"
)

// gcPercent keeps the heap near what is live. A broker's garbage comes from
// logins, its live data is a few hundred bytes for each connection: collecting
// four times as often as Go's default costs little of a login, and at a
// thousand idle connections halves what each of them seems to cost.
const gcPercent = 15

const (
	// trimEvery is how often the process looks whether a burst has ended;
	// trimAfter is how many connections that come or go make one.
	trimEvery = 2 * time.Second
	trimAfter = 64
)

// tuneMemory sets the collector's pace unless the environment does.
func tuneMemory(env Env) *pacer {
	if _, ok := env.LookupEnv("GOGC"); ok {
		return &pacer{}
	}
	debug.SetGCPercent(gcPercent)
	return &pacer{percent: gcPercent}
}

// trimmer gives back to the system what a burst has left behind: of logins
// buffers, stacks and parsed certificates that the connections do not need any
// more, and the connections themselves when they have ended. The runtime would
// do so too, but minutes later.
type trimmer struct {
	seen    uint64 // connections that had come and gone at the last look
	trimmed uint64 // the same when memory was last given back
}

// look is called every trimEvery.
func (t *trimmer) look(services []broker.ServiceStatus) {
	var turnover uint64
	for _, s := range services {
		turnover += 2*s.Accepted - uint64(s.Active)
	}
	if t.due(turnover) {
		runtime.GC() // pools are emptied by the second collection that finds them unused
		debug.FreeOSMemory()
	}
}

// due says whether a burst has ended since the last look. turnover counts each
// connection when it comes and when it goes.
func (t *trimmer) due(turnover uint64) bool {
	quiet := turnover == t.seen
	t.seen = turnover
	// A reload that removes a service takes its count away.
	if turnover < t.trimmed {
		t.trimmed = turnover
	}
	if !quiet || turnover-t.trimmed < trimAfter {
		return false
	}
	t.trimmed = turnover
	return true
}
