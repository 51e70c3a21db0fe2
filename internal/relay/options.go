package relay

import (
	"log/slog"
	"runtime"
)

// Options configure New. The zero value is ready to use.
type Options struct {
	// Loops is the number of event loops, each a goroutine that can keep a core busy;
	// zero or less means half of GOMAXPROCS, at least one. Client, relay and
	// server usually share the machine, so more loops than that only take
	// time from the other two. Platforms without epoll ignore it.
	Loops int
	// Log hears about what the relay had to do without, such as an event
	// loop for which no descriptor was left; nil discards it.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Loops <= 0 {
		o.Loops = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}
