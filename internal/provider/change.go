package provider

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"sync"
	"time"
)

// changes notices when a lookup brings other values than the one before. It
// remembers keyed digests and no value.
type changes struct {
	tell func(service string, names []string)
	key  [sha256.Size]byte

	mu   sync.Mutex
	seen map[*group]*sighting
}

// sighting is what one instance answered last.
type sighting struct {
	entry *entry
	since time.Time
	sums  map[string][sha256.Size]byte // by the credential's name
}

// OnChange has f told the names of credentials whose values a lookup found to be
// others than before. Values that the source makes for each lookup always are,
// and do not count. It is called once, before the first Get; f must not block.
func (c *Credentials) OnChange(f func(service string, names []string)) {
	n := &changes{tell: f, seen: map[*group]*sighting{}}
	_, _ = rand.Read(n.key[:]) // never fails
	c.changes = n
}

// notice compares answers with those before. It is cheap where they come from
// one and the same lookup.
func (c *Credentials) notice(answers []answer) {
	if c.changes == nil {
		return
	}
	var names []string
	for n, g := range c.groups {
		names = append(names, c.changes.compare(g, answers[n])...)
	}
	if len(names) > 0 {
		slices.Sort(names)
		c.changes.tell(c.service, names)
	}
}

func (n *changes) compare(g *group, a answer) (changed []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	last := n.seen[g]
	// One that waited longer may come with an older answer.
	if last != nil && (last.entry == a.entry || a.entry.since.Before(last.since)) {
		return nil
	}
	now := &sighting{a.entry, a.entry.since, map[string][sha256.Size]byte{}}
	for name, ref := range g.names {
		if slices.Contains(a.entry.made, ref) {
			continue
		}
		now.sums[name] = n.sum(a.values[ref].Bytes())
		if last == nil {
			continue
		}
		if before, ok := last.sums[name]; ok && before != now.sums[name] {
			changed = append(changed, name)
		}
	}
	n.seen[g] = now
	return changed
}

func (n *changes) sum(value []byte) (out [sha256.Size]byte) {
	mac := hmac.New(sha256.New, n.key[:])
	mac.Write(value)
	mac.Sum(out[:0])
	return out
}
