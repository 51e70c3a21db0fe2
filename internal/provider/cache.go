package provider

import (
	"time"

	"secretless/internal/secret"
)

// maxEntries bounds an instance's cache. Id sets come from the configuration,
// so that only a very large one gets there.
const maxEntries = 1024

// entry is the answer of one lookup. The values are shared and only cloned
// out; they are wiped when the last holder, the cache or a lookup's waiters,
// lets go. Everything is guarded by the instance's mutex.
type entry struct {
	values  map[string]secret.Value
	holders int
	expires time.Time // served without asking until then
	dies    time.Time // served only while the provider is unreachable until then
	warned  bool      // that it serves though it has expired

	since    time.Time
	leaseEnd time.Time // the earliest of all leases; zero: none
	made     []string  // refs whose values the source made for this lookup
	leases   leases
}

func (i *Instance) newEntry(leases map[string]Lease, now time.Time) *entry {
	e := &entry{values: make(map[string]secret.Value, len(leases)), since: now, leases: i.leasesOf(leases)}
	for ref, l := range leases {
		e.values[ref] = l.Value
		expires, dies := i.lifetime(l, now)
		if e.expires.IsZero() || expires.Before(e.expires) {
			e.expires = expires
		}
		if e.dies.IsZero() || dies.Before(e.dies) {
			e.dies = dies
		}
		if !l.Expires.IsZero() && (e.leaseEnd.IsZero() || l.Expires.Before(e.leaseEnd)) {
			e.leaseEnd = l.Expires
		}
		if l.Made {
			e.made = append(e.made, ref)
		}
	}
	return e
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (e *entry) clone() map[string]secret.Value {
	out := make(map[string]secret.Value, len(e.values))
	for ref, v := range e.values {
		out[ref] = v.Clone()
	}
	return out
}

func (e *entry) hold() { e.holders++ }

func (e *entry) letGo() {
	if e.holders--; e.holders > 0 {
		return
	}
	for _, v := range e.values {
		v.Wipe()
	}
	e.values = nil
	e.leases.release()
}

// cached returns the entry that answers for key without a lookup, nil if the
// provider must be asked.
func (i *Instance) cached(key string, now time.Time) *entry {
	e := i.cache[key]
	if e != nil && now.Before(e.expires) {
		return e
	}
	return nil
}

// fallback returns an expired entry that may serve because the lookup failed
// with err.
func (i *Instance) fallback(key string, err error, now time.Time) *entry {
	e := i.cache[key]
	if e == nil || !isTransient(err) || !now.Before(e.dies) {
		return nil
	}
	if !e.warned { // not once a connection
		e.warned = true
		i.log.Warn("provider unreachable, serving expired credentials",
			"error", err, "expired", e.expires, "until", e.dies)
	}
	return e
}

// store puts e in the cache, in place of an older entry.
func (i *Instance) store(key string, e *entry, now time.Time) {
	i.forget(key)
	if i.closed || !now.Before(e.dies) {
		return
	}
	if len(i.cache) >= maxEntries {
		i.forget(i.nextToDie())
	}
	e.hold()
	i.cache[key] = e
	i.scheduleSweep(now)
}

func (i *Instance) forget(key string) {
	if e := i.cache[key]; e != nil {
		delete(i.cache, key)
		e.letGo()
	}
}

func (i *Instance) nextToDie() string {
	var first string
	for key, e := range i.cache {
		if f := i.cache[first]; f == nil || e.dies.Before(f.dies) {
			first = key
		}
	}
	return first
}

// scheduleSweep arms the one timer that wipes entries when they die, whether
// or not anybody asks for them again.
func (i *Instance) scheduleSweep(now time.Time) {
	if len(i.cache) == 0 {
		return
	}
	wait := i.cache[i.nextToDie()].dies.Sub(now)
	if i.sweeper == nil {
		i.sweeper = time.AfterFunc(wait, i.sweep)
		return
	}
	i.sweeper.Reset(wait)
}

func (i *Instance) sweep() {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now()
	for key, e := range i.cache {
		if !now.Before(e.dies) {
			if !e.leaseEnd.IsZero() && !now.Before(e.leaseEnd) {
				i.leasesExpired.Add(1)
			}
			i.forget(key)
		}
	}
	i.scheduleSweep(now)
}

func (i *Instance) clearCache() {
	for key := range i.cache {
		i.forget(key)
	}
	if i.sweeper != nil {
		i.sweeper.Stop()
	}
}
