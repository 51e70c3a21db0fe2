package provider

import (
	"slices"
	"time"
)

const (
	// leaseMargin, as a part of what is left of a lease, is how long before
	// its end the next one is fetched: a login with it has to come through.
	leaseMargin    = 10
	maxLeaseMargin = time.Minute
	// deniedPause is how old a value that the source made has to be to be
	// dropped for what one client is denied: clients that ask for what they may
	// not have must not fill a database with users.
	deniedPause = 10 * time.Second
)

// lifetime says until when a value is served, and until when it still is while the
// provider cannot be reached.
func (i *Instance) lifetime(l Lease, now time.Time) (expires, dies time.Time) {
	if l.Made && !l.Expires.IsZero() && i.ttl > 0 {
		margin := min(l.Expires.Sub(now)/leaseMargin, maxLeaseMargin)
		return l.Expires.Add(-max(margin, 0)), l.Expires
	}
	expires = now.Add(i.ttl)
	dies = expires.Add(i.grace)
	if !l.Expires.IsZero() {
		expires, dies = earlier(expires, l.Expires), earlier(dies, l.Expires)
	}
	return expires, dies
}

// leases are those that one lookup's values belong to, and whom to tell.
type leases struct {
	instance *Instance
	ids      []string
	rejected *bool // told so
}

func (i *Instance) leasesOf(values map[string]Lease) leases {
	if i.keeper == nil {
		return leases{}
	}
	l := leases{instance: i, rejected: new(bool)}
	for _, v := range values {
		if v.ID != "" && !slices.Contains(l.ids, v.ID) {
			l.ids = append(l.ids, v.ID)
		}
	}
	return l
}

func (l leases) release() {
	for _, id := range l.ids {
		l.instance.tell(func(k LeaseKeeper) { k.Released(id) })
	}
}

func (l leases) reject() {
	if len(l.ids) == 0 || *l.rejected {
		return
	}
	*l.rejected = true
	for _, id := range l.ids {
		l.instance.tell(func(k LeaseKeeper) { k.Rejected(id) })
	}
}

func (l leases) share(other leases) bool {
	return slices.ContainsFunc(l.ids, func(id string) bool { return slices.Contains(other.ids, id) })
}

func (l leases) doubt() {
	for _, id := range l.ids {
		l.instance.tell(func(LeaseKeeper) { l.instance.checker.Doubted(id) })
	}
}

// tell keeps a panic of the keeper from leaving locks behind.
func (i *Instance) tell(what func(LeaseKeeper)) {
	defer func() {
		if r := recover(); r != nil {
			i.panics.Add(1)
			logPanic(i.log, "note a lease", r)
		}
	}()
	what(i.keeper)
}
