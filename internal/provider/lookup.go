package provider

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"secretless/internal/secret"
)

const (
	// maxStuck bounds lookups that outlive their deadline because a Fetch
	// ignores its context; beyond it the instance refuses to start more.
	maxStuck = 8
	// overdueGrace lets a Fetch that does obey its deadline bring its own,
	// better error home.
	overdueGrace = 100 * time.Millisecond
)

var (
	errClosed  = errors.New("provider is closed")
	errOverdue = errors.New("lookup is overdue")
)

// flight is one lookup under way and everybody who waits for it. Its context
// is the instance's, so that a caller who gives up leaves the others alone.
type flight struct {
	key     string
	refs    []string
	ctx     context.Context
	cancel  context.CancelFunc
	once    bool // no retries: an expired entry can serve instead, or it is a probe
	began   time.Time
	outage  *outage       // whose probe it is, if it is one
	overdue *time.Timer   // of a probe
	done    chan struct{} // closed when entry or err is set

	// Guarded by the instance's mutex.
	waiters   int
	finished  bool
	abandoned bool
	entry     *entry
	old       bool // entry is an expired one
	err       error
}

// answer is what one Get got from one instance.
type answer struct {
	values map[string]secret.Value // the caller's own
	entry  *entry                  // where they came from, compared by identity only
	cached bool
}

// get answers for refs, which are sorted and unique, from the cache, from a
// lookup already under way or from a new one.
func (i *Instance) get(ctx context.Context, refs []string) (answer, error) {
	key := setKey(refs)
	i.mu.Lock()
	if e := i.cached(key, time.Now()); e != nil {
		defer i.mu.Unlock()
		i.hits.Add(1)
		return answer{e.clone(), e, true}, nil
	}
	i.misses.Add(1)
	if down := i.outage(key, time.Now()); down != nil {
		return i.getDown(ctx, refs, down, key)
	}
	f, mine, err := i.join(key, refs)
	if err != nil {
		defer i.mu.Unlock()
		return i.answerStale(key, err)
	}
	f.waiters++
	i.mu.Unlock()

	if mine {
		i.run(f)
	}
	return i.await(ctx, f, nil)
}

// getDown is get while the provider is down, with the mutex held. Who can be
// served from an expired entry is; others wait a moment for the probe.
func (i *Instance) getDown(ctx context.Context, refs []string, o *outage, key string) (answer, error) {
	i.probe(key, refs, o, time.Now())
	f := i.flights[key]
	if f == nil || i.fallback(key, o.err, time.Now()) != nil {
		defer i.mu.Unlock()
		why := o.failure(time.Now())
		if i.stuck >= maxStuck {
			why = i.crowded(refs)
		}
		return i.answerStale(key, why)
	}
	f.waiters++
	i.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, probeWait, errStillDown)
	defer cancel()
	return i.await(ctx, f, o)
}

// await is the rest of get for one who waits for f, during o if not nil.
func (i *Instance) await(ctx context.Context, f *flight, o *outage) (answer, error) {
	err := f.wait(ctx)
	i.mu.Lock()
	defer i.mu.Unlock()
	defer i.leave(f)
	switch {
	case f.finished && f.err != nil:
		return answer{}, f.err
	case f.finished:
		if f.old {
			i.stale.Add(1)
		}
		return answer{f.entry.clone(), f.entry, f.old}, nil
	case errors.Is(err, errOverdue):
		overdue := i.describe(f.ctx, f.refs, context.DeadlineExceeded)
		i.abandon(f, overdue)
		return i.answerStale(f.key, overdue)
	case errors.Is(err, errStillDown):
		return i.answerStale(f.key, o.failure(time.Now()))
	default:
		return answer{}, i.fail(f.refs, fmt.Errorf("gave up waiting for the lookup: %w", err), false)
	}
}

// setKey is unambiguous whatever bytes the refs have.
func setKey(refs []string) string {
	var b strings.Builder
	for _, r := range refs {
		b.WriteString(strconv.Itoa(len(r)))
		b.WriteByte(':')
		b.WriteString(r)
	}
	return b.String()
}

// join finds or starts the lookup for key; mine says that the caller has to run
// it. Called with the mutex held, so that no lookup starts once closed is set
// and Close misses none.
func (i *Instance) join(key string, refs []string) (f *flight, mine bool, err error) {
	if i.closed {
		return nil, false, i.fail(refs, errClosed, false)
	}
	if f := i.flights[key]; f != nil {
		return f, false, nil
	}
	if i.stuck >= maxStuck {
		return nil, false, i.crowded(refs)
	}
	e := i.cache[key]
	f = &flight{key: key, refs: refs, once: e != nil && time.Now().Before(e.dies)}
	i.start(f)
	return f, i.immediate, nil
}

// crowded is why no other lookup is begun.
func (i *Instance) crowded(refs []string) error {
	return i.fail(refs, fmt.Errorf("%d earlier lookups still hang; restart the broker if this does not end", i.stuck), true)
}

// start begins f, with the mutex held; an immediate provider's is the caller's
// to run.
func (i *Instance) start(f *flight) {
	f.began, f.done = time.Now(), make(chan struct{})
	f.ctx, f.cancel = context.WithTimeout(i.life, i.timeout)
	i.flights[f.key] = f
	i.started.Add(1)
	i.lookups.Add(1)
	if !i.immediate {
		go i.run(f)
	}
}

// wait returns when the flight is finished, overdue, or ctx has ended.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-f.ctx.Done():
	}
	grace := time.NewTimer(overdueGrace)
	defer grace.Stop()
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-grace.C:
		return errOverdue
	}
}

// leave is a waiter's last step; the last one lets go of the values.
func (i *Instance) leave(f *flight) {
	if f.waiters--; f.waiters == 0 && f.finished && f.entry != nil {
		f.entry.letGo()
	}
}

// abandon makes room for another try while this one's Fetch hangs.
func (i *Instance) abandon(f *flight, err error) {
	if f.abandoned || f.finished {
		return
	}
	f.abandoned = true
	i.stuck++
	if f.outage != nil {
		f.outage.probes--
	}
	i.ended(err, time.Now())
	i.failed(f, err, i.land(f), time.Now())
}

// land ends f's time as the lookup that others join, and reports whether it
// still was.
func (i *Instance) land(f *flight) (newest bool) {
	if newest = i.flights[f.key] == f; newest {
		delete(i.flights, f.key)
	}
	return newest
}

func (i *Instance) answerStale(key string, err error) (answer, error) {
	e := i.fallback(key, err, time.Now())
	if e == nil {
		return answer{}, err
	}
	i.hits.Add(1)
	i.stale.Add(1)
	return answer{e.clone(), e, true}, nil
}

// run is the flight, in a goroutine of its own unless the provider is
// immediate. The preset error stands if the provider ends the goroutine under
// us.
func (i *Instance) run(f *flight) {
	defer i.lookups.Done()
	var leases map[string]Lease
	err := i.fail(f.refs, errors.New("lookup ended without an answer"), false)
	defer func() {
		i.finish(f, leases, err)
		f.cancel()
	}()
	leases, err = i.fetch(f)
}

func (i *Instance) finish(f *flight, leases map[string]Lease, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	defer close(f.done)
	f.finished = true
	now := time.Now()
	i.times.Observe(now.Sub(f.began))
	if err != nil {
		if f.entry = i.fallback(f.key, err, now); f.entry != nil {
			f.old = true
			i.hits.Add(1)
		} else {
			f.err = err
		}
	} else {
		f.entry = i.newEntry(leases, now)
	}
	if f.entry != nil {
		f.entry.hold() // for the waiters
	}
	i.settle(f, err, now)
	if f.waiters == 0 && f.entry != nil {
		f.entry.letGo()
	}
}

// settle makes the instance know what f has brought. The cache takes it unless
// a later lookup may know better.
func (i *Instance) settle(f *flight, err error, now time.Time) {
	if f.abandoned {
		i.stuck--
		return
	}
	if f.outage != nil {
		f.outage.probes--
		f.overdue.Stop()
	}
	useful := i.land(f)
	if !useful && f.outage != nil {
		useful = i.outages[f.key] == f.outage // no other probe has come home
	}
	i.ended(err, now)
	if err == nil && useful {
		i.store(f.key, f.entry, now)
	}
	if useful {
		i.failed(f, err, true, now)
	}
}
