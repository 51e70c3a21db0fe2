package provider

import "time"

// Stats is what an instance has done since it was made.
type Stats struct {
	Lookups  uint64 // lookups begun at the provider
	Hits     uint64 // answers from the cache, stale ones included
	Failures uint64 // lookups that ended in an error
	// Cached is how many sets of values are kept now, Down whether lookups fail
	// at once because the provider has not answered for a while.
	Cached int
	Down   bool
	// Answered is when a lookup last succeeded, Failed when one last ended in
	// LastError, which the log shows as well. Zero and nil for never.
	Answered, Failed time.Time
	LastError        error
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
		Lookups: i.started.Load(), Hits: i.hits.Load(), Failures: i.failures.Load(),
		Cached: len(i.cache), Down: i.isDown(time.Now()),
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

// ended notes how a lookup has ended, with the mutex held.
func (i *Instance) ended(err error, now time.Time) {
	if err == nil {
		i.latest.answered = now
		return
	}
	i.failures.Add(1)
	i.latest.failed, i.latest.err = now, err
}
