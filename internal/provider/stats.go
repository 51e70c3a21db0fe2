package provider

import (
	"sync/atomic"
	"time"

	"secretless/internal/histogram"
)

// Stats is what an instance has done since it was made.
type Stats struct {
	Lookups  uint64 // lookups begun at the provider
	Hits     uint64 // answers from the cache, stale ones included
	Misses   uint64 // answers that a lookup was waited for, or an outage denied
	Stale    uint64 // answers that had expired and served because a lookup failed
	Failures uint64 // lookups that ended in an error
	// LeasesExpired counts sets of values that left the cache at their lease's
	// end.
	LeasesExpired uint64
	Panics        uint64
	// Times are of lookups that have ended, failed ones included.
	Times histogram.Snapshot
	// Cached is how many sets of values are kept now, Down whether lookups fail
	// at once because the provider has not answered for a while, Stuck how many
	// lookups have not returned though their deadline has passed.
	Cached int
	Down   bool
	Stuck  int
	// LeaseEnd is when the first lease of the cache ends; zero if none does.
	LeaseEnd time.Time
	// Answered is when a lookup last succeeded, Failed when one last ended in
	// LastError, which the log shows as well. Zero and nil for never.
	Answered, Failed time.Time
	LastError        error
}

// counts are those of Stats.
type counts struct {
	started, hits, misses, stale, failures atomic.Uint64
	leasesExpired, panics                  atomic.Uint64
	times                                  histogram.Durations
}

// latest is how the last lookups ended, guarded by the instance's mutex.
type latest struct {
	answered, failed time.Time
	err              error
}

// Stats is a snapshot.
func (i *Instance) Stats() Stats {
	i.mu.Lock()
	defer i.mu.Unlock()
	return Stats{
		Lookups: i.started.Load(), Hits: i.hits.Load(), Misses: i.misses.Load(), Stale: i.stale.Load(),
		Failures: i.failures.Load(), LeasesExpired: i.leasesExpired.Load(), Panics: i.panics.Load(), Times: i.times.Snapshot(),
		Cached: len(i.cache), Down: i.isDown(time.Now()), Stuck: i.stuck, LeaseEnd: i.leaseEnd(),
		Answered: i.latest.answered, Failed: i.latest.failed, LastError: i.latest.err,
	}
}

func (i *Instance) isDown(now time.Time) bool {
	for key := range i.outages {
		if i.outage(key, now) != nil {
			return true
		}
	}
	return false
}

func (i *Instance) leaseEnd() (first time.Time) {
	for _, e := range i.cache {
		if !e.leaseEnd.IsZero() && (first.IsZero() || e.leaseEnd.Before(first)) {
			first = e.leaseEnd
		}
	}
	return first
}

// ended notes how a lookup has ended, with the mutex held.
func (i *Instance) ended(err error, now time.Time) {
	if err == nil {
		i.latest.answered = now
		return
	}
	i.failures.Add(1)
	i.latest.failed, i.latest.err = now, err
}

// Suspended names the service while its target keeps rejecting its credentials.
func (c *Credentials) Suspended() []string {
	c.breaker.mu.Lock()
	defer c.breaker.mu.Unlock()
	if c.breaker.backoff == 0 {
		return nil
	}
	return []string{c.service}
}
