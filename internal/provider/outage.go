package provider

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// probeEvery is how often a provider that is down is asked again, while
	// somebody wants something of it: the back-off of a circuit breaker that
	// is to notice within a second that the provider is back.
	probeEvery = 500 * time.Millisecond
	// maxProbes bounds those that hang, as they do while a network is gone.
	// There is room for them to begin twice a second and to hang for the
	// default timeout; with a longer one they begin less often.
	maxProbes = 16
	// probeWait is how long a caller waits for such a probe: who waited for one
	// that hangs would not start the next.
	probeWait = 500 * time.Millisecond
	// outageLasts is how long after the last failure a provider is still taken
	// to be down; after it a lookup may take its whole time again.
	outageLasts = time.Minute
)

var errStillDown = errors.New("provider is still down")

// outage is a provider that has failed for one set of ids with transient
// errors for the whole of a lookup's time. Until it is over, callers do not
// wait that long: a dead provider costs the first of them the lookup's
// deadline, and not every one. It is by set of ids because a source can fail
// for one secret and answer for others. Guarded by the instance's mutex.
type outage struct {
	since, last time.Time // failures
	err         error     // the last one
	next        time.Time // when the next probe may start
	probes      int       // under way
}

// outage returns what is known to be down, nil if a lookup may take its time.
func (i *Instance) outage(key string, now time.Time) *outage {
	o := i.outages[key]
	if o == nil || now.Sub(o.last) < outageLasts {
		return o
	}
	delete(i.outages, key)
	return nil
}

// failed notes that f has failed for now, or that it got an answer, be it one
// of refusal. Only the newest lookup can begin an outage, and any can end it.
func (i *Instance) failed(f *flight, err error, newest bool, now time.Time) {
	o := i.outages[f.key]
	if !isTransient(err) {
		if o != nil {
			delete(i.outages, f.key)
			i.log.Info("provider answers again", "down_for", now.Sub(o.since).Round(time.Millisecond).String())
		}
		return
	}
	switch {
	case i.life.Err() != nil:
	case o != nil:
		o.last, o.err = now, err
	case newest && len(i.outages) < maxEntries:
		i.outages[f.key] = &outage{since: now, last: now, err: err, next: f.began.Add(i.probePause())}
		i.log.Warn("provider is down, lookups fail at once until it answers", "error", err)
	}
}

func (i *Instance) probePause() time.Duration {
	most := max(probeEvery, i.timeout*5/4/maxProbes)
	return most - rand.N(most/5)
}

// probe starts a lookup if it is time for one, without retries of its own. An
// earlier one that hangs stays with those who wait for it.
func (i *Instance) probe(key string, refs []string, o *outage, now time.Time) {
	if now.Before(o.next) || o.probes >= maxProbes || i.stuck >= maxStuck || i.closed {
		return
	}
	o.next = now.Add(i.probePause())
	o.probes++
	f := &flight{key: key, refs: refs, once: true, outage: o}
	f.overdue = time.AfterFunc(i.timeout+overdueGrace, func() { // nobody may be waiting for it
		i.mu.Lock()
		defer i.mu.Unlock()
		i.abandon(f, i.describe(f.ctx, f.refs, context.DeadlineExceeded))
	})
	i.start(f)
}

// failure is what a caller is told while the provider is down.
func (o *outage) failure(now time.Time) error {
	e, ok := errors.AsType[*Error](o.err)
	if !ok {
		return o.err
	}
	said := *e
	said.Err = fmt.Errorf("%w (down for %v, asked again twice a second)", e.Err, now.Sub(o.since).Round(time.Second))
	return &said
}
