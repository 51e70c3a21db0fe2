package provider

import (
	"slices"
	"time"

	"secretless/internal/secret"
)

// Source is where a part of a set came from, for people.
type Source struct {
	// Provider is the instance's name.
	Provider string
	// Fetched is when the provider gave the values.
	Fetched time.Time
	// Expires is the end of the lease; zero if there is none.
	Expires time.Time
	// Stale is true for values that have expired and serve because the
	// provider cannot be reached.
	Stale bool
}

// Providers are the names of the instances that a service's credentials come
// from, in order; "literal" where nothing but literals is there.
func (c *Credentials) Providers() []string {
	var names []string
	for _, g := range c.groups {
		names = append(names, g.instance.name)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if len(names) == 0 && len(c.literals) > 0 {
		names = append(names, "literal")
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Sources says where set, which Get has returned, came from, literals left
// out.
func (c *Credentials) Sources(set *secret.Set) []Source {
	from, ok := set.Origin.(*origin)
	if !ok {
		return nil
	}
	out := make([]Source, len(from.parts))
	now := time.Now()
	for n, p := range from.parts {
		out[n] = Source{
			Provider: p.group.instance.name, Fetched: p.entry.since, Expires: p.entry.leaseEnd,
			Stale: p.cached && !now.Before(p.entry.expires),
		}
	}
	return out
}
