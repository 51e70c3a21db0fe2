package provider

import (
	"bytes"
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
	if c.breaker.rejected(set, time.Now()) {
		c.warnOfNewlines(set)
	}
	return c.drop(set, false)
}

// warnOfNewlines names credentials of one line that end with a newline, as
// editors and echo leave it behind: a target says no more than that the
// password is wrong.
func (c *Credentials) warnOfNewlines(set *secret.Set) {
	for _, g := range c.groups {
		for name := range g.names {
			v, _ := set.Get(name)
			if n := bytes.IndexByte(v.Bytes(), '\n'); n >= 0 && n == v.Len()-1 {
				c.log.Warn("a rejected credential ends with a newline; if that is not meant, store it without (a file's is dropped by trim: true)",
					"credential", name, "provider", g.instance.name)
			}
		}
	}
}

// Accepted says that the target took set, which forgets earlier rejections.
func (c *Credentials) Accepted(set *secret.Set) { c.breaker.accepted() }

// Drop is Rejected without counting for the circuit breaker: what one client
// asks for (a database that the role may not enter) must not suspend the
// service for the others, nor make the source make one new value a connection.
func (c *Credentials) Drop(set *secret.Set) (retry bool) { return c.drop(set, true) }

func (c *Credentials) drop(set *secret.Set, denied bool) (retry bool) {
	from, ok := set.Origin.(*origin)
	if !ok {
		return false
	}
	now := time.Now()
	for _, p := range from.parts {
		tell := leases.reject
		if denied && len(p.entry.made) > 0 {
			switch {
			case p.group.instance.checker != nil:
				tell = leases.doubt
			case p.entry.isNew(now):
				continue
			}
		}
		if p.group.instance.dropEntry(p.group.key, p.entry, tell) || p.cached {
			retry = true
		}
	}
	return retry
}

// refresh drops what a suspended set came from, where the cache may hide that
// it was corrected meanwhile, and reports whether there is such a place. What
// a source makes for each lookup is not corrected by making more of it.
func (c *Credentials) refresh(set *secret.Set) bool {
	var hidden []part
	for _, p := range set.Origin.(*origin).parts {
		if p.cached && len(p.entry.made) == 0 {
			hidden = append(hidden, p)
		}
	}
	if len(hidden) == 0 || !c.breaker.mayRefresh(time.Now()) {
		return false
	}
	for _, p := range hidden {
		p.group.instance.dropEntry(p.group.key, p.entry, leases.reject)
	}
	return true
}

// isNew says that the entry was made moments ago at the source.
func (e *entry) isNew(now time.Time) bool { return now.Sub(e.since) < deniedPause }

// made says whether the named credential was made for this set's lookup.
func (o *origin) made(name string) bool {
	return slices.ContainsFunc(o.parts, func(p part) bool {
		ref, ok := p.group.names[name]
		return ok && slices.Contains(p.entry.made, ref)
	})
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
// whether a newer one has taken its place. One with the same lease is not newer:
// a keeper had no doubts yet when it gave that out again.
func (i *Instance) dropEntry(key string, e *entry, tell func(leases)) (replaced bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	tell(e.leases) // before anybody can start the next lookup
	now := i.cache[key]
	if now == e || now != nil && now.leases.share(e.leases) {
		i.forget(key)
		return false
	}
	return now != nil
}
