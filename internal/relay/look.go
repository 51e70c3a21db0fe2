package relay

import "time"

// Progress is how far a running pair is.
type Progress struct {
	// ToTarget and ToClient count the bytes delivered so far, those read ahead
	// included.
	ToTarget, ToClient int64
	// Idle is for how long no byte has come or gone, negative where that cannot
	// be told; only where details were asked for.
	Idle time.Duration
	// Target is the address of the other end of Pair.Target, empty where there
	// is none; only where details were asked for.
	Target string
}

// unknownIdle is the Idle of a pair that nothing keeps the time of.
const unknownIdle = -1

// lookBatch and detailBatch are how many pairs a loop is asked about in one go:
// the bytes of its other pairs wait for as long, some microseconds.
const (
	lookBatch   = 512
	detailBatch = 32
)

// asker is a handle that can be asked right away.
type asker interface{ progress(details bool) Progress }

func (ended) progress(bool) Progress { return Progress{Idle: unknownIdle} }

func (e *engine) Look(handles []Handle, details bool) []Progress {
	out := make([]Progress, len(handles))
	rest := e.loops.look(handles, out, details)
	for _, n := range rest {
		if a, ok := handles[n].(asker); ok {
			out[n] = a.progress(details)
		}
	}
	return out
}

// progress can be called while the pair runs.
func (c *copier) progress(details bool) Progress {
	p := Progress{ToTarget: c.moved[Client].Load(), ToClient: c.moved[Target].Load(), Idle: unknownIdle}
	if !details {
		return p
	}
	if c.idle > 0 {
		last := c.last.Load() // before now, which must not be the older one
		p.Idle = time.Duration(c.set.now.Load()-last) * tick
	} else {
		p.Idle = shortest(silenceOf(c.conns[Client]), silenceOf(c.conns[Target]))
	}
	if a := c.conns[Target].RemoteAddr(); a != nil {
		p.Target = a.String()
	}
	return p
}

// shortest of two times, of which either may be unknown.
func shortest(a, b time.Duration) time.Duration {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}
