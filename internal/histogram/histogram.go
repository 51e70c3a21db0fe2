// Package histogram counts durations in buckets, without a lock: what is
// measured where connections are made must not make them wait for each other.
package histogram

import (
	"sync/atomic"
	"time"
)

// bounds are the upper ends of the buckets: a login in memory takes a
// millisecond, a provider on another continent a second, and the longest
// default deadline is 15 seconds.
var bounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// Durations is a histogram. The zero value is ready. Safe for concurrent use.
type Durations struct {
	buckets [len(bounds) + 1]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
}

// Observe counts d.
func (h *Durations) Observe(d time.Duration) {
	n := 0
	for n < len(bounds) && d > bounds[n] {
		n++
	}
	h.buckets[n].Add(1)
	h.sum.Add(int64(max(d, 0)))
}

// Snapshot is a histogram at one moment, as Prometheus has it.
type Snapshot struct {
	Count uint64
	// Sum is in seconds.
	Sum float64
	// Buckets are how many observations were at most their key, in seconds; the
	// one without a bound is Count.
	Buckets map[float64]uint64
}

// Snapshot reads h. Observations that come meanwhile are in it or not.
func (h *Durations) Snapshot() Snapshot {
	s := Snapshot{Sum: time.Duration(h.sum.Load()).Seconds(), Buckets: make(map[float64]uint64, len(bounds))}
	for n := range h.buckets {
		s.Count += h.buckets[n].Load()
		if n < len(bounds) {
			s.Buckets[bounds[n].Seconds()] = s.Count
		}
	}
	return s
}
