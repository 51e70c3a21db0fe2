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
	// trimEvery is how often the process looks whether a burst of logins has
	// ended; trimAfter is how many logins make a burst.
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

// trimmer gives back to the system what a burst of logins has left behind:
// buffers, stacks and parsed certificates that the connections do not need any
// more. The runtime would do so too, but minutes later.
type trimmer struct {
	seen    uint64 // connections accepted at the last look
	trimmed uint64 // connections accepted when memory was last given back
}

// look is called every trimEvery.
func (t *trimmer) look(services []broker.ServiceStatus) {
	var accepted uint64
	for _, s := range services {
		accepted += s.Accepted
	}
	if t.due(accepted) {
		runtime.GC() // pools are emptied by the second collection that finds them unused
		debug.FreeOSMemory()
	}
}

// due says whether a burst has ended since the last look.
func (t *trimmer) due(accepted uint64) bool {
	quiet := accepted == t.seen
	t.seen = accepted
	// A reload that removes a service takes its count away.
	if accepted < t.trimmed {
		t.trimmed = accepted
	}
	if !quiet || accepted-t.trimmed < trimAfter {
		return false
	}
	t.trimmed = accepted
	return true
}
