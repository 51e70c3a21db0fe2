package cli

import "runtime/debug"

// gcPercent keeps the heap near what is live. A broker's garbage comes from
// logins, its live data is a few hundred bytes for each connection: collecting
// four times as often as Go's default costs little of a login, and at a
// thousand idle connections halves what each of them seems to cost.
const gcPercent = 15

// tuneMemory sets the collector's pace unless the environment does.
func tuneMemory(env Env) {
	if _, ok := env.LookupEnv("GOGC"); !ok {
		debug.SetGCPercent(gcPercent)
	}
}
