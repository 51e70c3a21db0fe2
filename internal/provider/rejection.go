package provider

import (
	"slices"
	"time"

	"secretless/internal/secret"
)

// origin is what the Resolver notes in a Set: where it came from and when the
// circuit breaker let it pass.
type origin struct {
	parts []part
	epoch uint64
}

// part names the cache entry that one instance's values came from. A fresh
// lookup leaves one in the cache too, so that cached says whether this set was
// served from it.
type part struct {
	group  *group
	entry  *entry
	cached bool
}

// Rejected drops the cache entries that set came from and reports whether a
// fresh lookup can yield something else. Of many connections that report the
// same old secret, the first drops it; a newer entry is left alone, so that
// they cause one lookup together. It counts for the circuit breaker.
func (c *Credentials) Rejected(set *secret.Set) (retry bool) {
	c.breaker.rejected(set, time.Now())
	return c.Drop(set)
}

// Accepted says that the target took set, which forgets earlier rejections.
func (c *Credentials) Accepted(set *secret.Set) { c.breaker.accepted() }

func fromCache(set *secret.Set) bool {
	from, ok := set.Origin.(*origin)
	return ok && slices.ContainsFunc(from.parts, func(p part) bool { return p.cached })
}

// Drop is Rejected without counting for the circuit breaker: what one client
// asks for (a database that the role may not enter) must not suspend the
// service for the others.
func (c *Credentials) Drop(set *secret.Set) (retry bool) {
	from, ok := set.Origin.(*origin)
	if !ok {
		return false
	}
	for _, p := range from.parts {
		if p.group.instance.dropEntry(p.group.key, p.entry) || p.cached {
			retry = true
		}
	}
	return retry
}

// forget drops what the caches hold for c, whoever asked for it.
func (c *Credentials) forget() {
	for _, g := range c.groups {
		g.instance.mu.Lock()
		g.instance.forget(g.key)
		g.instance.mu.Unlock()
	}
}

// dropEntry forgets e if it is still the cache's entry for key, and reports
// whether a newer one has taken its place.
func (i *Instance) dropEntry(key string, e *entry) (replaced bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.cache[key]
	if now == e {
		i.forget(key)
		return false
	}
	return now != nil
}
