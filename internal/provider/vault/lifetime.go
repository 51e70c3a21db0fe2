package vault

import (
	"math/rand/v2"
	"time"
)

// lifetime is how long a token or lease is good for. The zero value has no end.
type lifetime struct {
	granted time.Time
	length  time.Duration
}

func newLifetime(seconds int64, now time.Time) lifetime {
	const most = int64(100 * 365 * 24 * time.Hour / time.Second)
	if seconds <= 0 {
		return lifetime{}
	}
	return lifetime{now, time.Duration(min(seconds, most)) * time.Second}
}

func (l lifetime) endless() bool { return l.length == 0 }

// end is when it is over; zero if never.
func (l lifetime) end() time.Time {
	if l.endless() {
		return time.Time{}
	}
	return l.granted.Add(l.length)
}

// soon is when something new is wanted in its place: a tenth before the end,
// and at most a minute, so that a login that begins then is through in time.
func (l lifetime) soon() time.Time {
	return l.end().Add(-min(l.length/10, time.Minute))
}

func (l lifetime) over(now time.Time) bool { return !l.endless() && !now.Before(l.end()) }

// renewAt is when to renew: after about two thirds, not all brokers at once.
func (l lifetime) renewAt() time.Time {
	third := l.length / 3
	return l.granted.Add(2*third - rand.N(third/4+1))
}

// capped tells whether a renewal gave much less than the grant before it: the
// maximum is near, and renewing again would give less each time.
func (l lifetime) capped(before time.Duration) bool { return l.length < before/2 }
