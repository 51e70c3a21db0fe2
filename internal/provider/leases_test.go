package provider_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"secretless/internal/provider"
	"secretless/internal/secret"
)

// engine is a fake that makes a database user for each lookup.
type engine struct {
	fake
	notes sync.Mutex
	told  []string
}

func newEngine(life time.Duration) *engine {
	e := &engine{}
	e.lease = func(n int) provider.Lease {
		return provider.Lease{Made: true, ID: fmt.Sprintf("lease-%d", n), Expires: time.Now().Add(life)}
	}
	return e
}

func (e *engine) note(what, id string) {
	e.notes.Lock()
	defer e.notes.Unlock()
	e.told = append(e.told, what+" "+id)
}

func (e *engine) Rejected(id string) { e.note("rejected", id) }
func (e *engine) Released(id string) { e.note("released", id) }

func (e *engine) wantTold(t *testing.T, want string) {
	t.Helper()
	e.notes.Lock()
	defer e.notes.Unlock()
	if got := strings.Join(e.told, ", "); got != want {
		t.Errorf("keeper was told\n got %q\nwant %q", got, want)
	}
}

func resolveEngine(t *testing.T, e *engine, o provider.InstanceOptions) *provider.Credentials {
	o.Name, o.Provider = "vault", e
	i := provider.NewInstance(o)
	defer i.Close()
	c := provider.NewCredentials("orders", []provider.Ref{
		{Name: "username", Instance: i, Get: "db#user"}, {Name: "password", Instance: i, Get: "db"},
	}, o.Log)
	t.Cleanup(c.Close)
	return c
}

func TestMadeLeases(t *testing.T) {
	for name, test := range map[string]struct{ cache, lease, lives time.Duration }{
		"longer than the cache":  {time.Minute, 10 * time.Hour, 10*time.Hour - time.Minute},
		"shorter than the cache": {time.Minute, 20 * time.Second, 18 * time.Second},
		"the cache is off":       {0, time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(test.lease)
				c := resolveEngine(t, e, provider.InstanceOptions{Cache: test.cache})
				wantPassword(t, c, 1)
				if test.lives == 0 {
					e.wantTold(t, "released lease-1")
					wantPassword(t, c, 2)
					return
				}
				time.Sleep(test.lives - 1)
				wantPassword(t, c, 1)
				e.wantTold(t, "")
				time.Sleep(time.Nanosecond)
				wantPassword(t, c, 2)
				e.wantTold(t, "released lease-1")
				c.Close()
				e.wantTold(t, "released lease-1, released lease-2")
			})
		})
	}
}

// While the next lease cannot be had, the last one serves to its end.
func TestMadeLeaseServesToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(time.Hour)
		c := resolveEngine(t, e, provider.InstanceOptions{Cache: time.Minute})
		wantPassword(t, c, 1)
		e.set(func(f *fake) { f.err = transient("sealed") })
		time.Sleep(time.Hour - 1)
		wantPassword(t, c, 1)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		e.wantTold(t, "released lease-1")
		if _, err := c.Get(t.Context()); err == nil || e.alive() != 0 {
			t.Errorf("%v, %d values alive", err, e.alive())
		}
	})
}

func TestRejectedLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(time.Hour)
		e.hook = func(_ context.Context, n int) error {
			if n == 2 {
				e.wantTold(t, "rejected lease-1, released lease-1") // before the lookup
			}
			return nil
		}
		c := resolveEngine(t, e, provider.InstanceOptions{Cache: time.Minute})
		c.Accepted(mustGet(t, c))
		one, two := mustGet(t, c), mustGet(t, c)
		if !c.Rejected(one) || !c.Rejected(two) {
			t.Error("no retry")
		}
		wantPassword(t, c, 2)
		e.wantTold(t, "rejected lease-1, released lease-1")
	})
}

// A lease of an uncached lookup is released at once and can be rejected later.
func TestRejectedUncachedLease(t *testing.T) {
	e := newEngine(time.Hour)
	c := resolveEngine(t, e, provider.InstanceOptions{})
	c.Rejected(mustGet(t, c))
	e.wantTold(t, "released lease-1, rejected lease-1")
}

// Clients that ask for what they may not have do not fill the database with
// users.
func TestDeniedClientsShareALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(time.Hour)
		c := resolveEngine(t, e, provider.InstanceOptions{Cache: time.Minute})
		for range 600 {
			c.Drop(mustGet(t, c))
			time.Sleep(100 * time.Millisecond)
		}
		if e.count() > 7 {
			t.Errorf("%d users in a minute", e.count())
		}
	})
}

// A target that refuses one user after the other, because it is the wrong one,
// suspends the service, and then hardly any more are made.
func TestRejectedLeasesSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(time.Hour)
		c := resolveEngine(t, e, provider.InstanceOptions{Cache: time.Minute})
		var suspended *provider.SuspendedError
		for range 600 {
			set, err := c.Get(t.Context())
			if err == nil {
				c.Rejected(set)
			} else if !errors.As(err, &suspended) {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if suspended == nil || e.count() > 12 {
			t.Errorf("%d users in a minute, suspended: %v", e.count(), suspended)
		}
	})
}

// checkedEngine knows which of its leases still are.
type checkedEngine struct{ *engine }

func (e checkedEngine) Doubted(id string) { e.note("doubted", id) }

// An account that goes away under a login is denied things rather than
// rejected. The keeper is asked, however young the lease is.
func TestDoubtedLease(t *testing.T) {
	for name, test := range map[string]struct {
		denied bool
		told   string
	}{
		"denied":   {true, "doubted lease-1, released lease-1"},
		"rejected": {false, "rejected lease-1, released lease-1"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(time.Hour)
			i := provider.NewInstance(provider.InstanceOptions{Name: "vault", Provider: checkedEngine{e}, Cache: time.Minute})
			c := provider.NewCredentials("orders", []provider.Ref{{Name: "password", Instance: i, Get: "db"}}, nil)
			i.Close()
			defer c.Close()
			mustGet(t, c).Wipe()
			set := mustGet(t, c)
			drop := c.Rejected
			if test.denied {
				drop = c.Drop
			}
			if !drop(set) {
				t.Error("no retry")
			}
			e.wantTold(t, test.told)
			wantPassword(t, c, 2)
		})
	}
}

// A keeper may give a lease out again a moment before it is rejected. Then it
// must not stay in the cache under another entry.
func TestRejectedLeaseInAnotherEntry(t *testing.T) {
	e := newEngine(time.Hour)
	e.lease = func(n int) provider.Lease {
		return provider.Lease{Made: true, ID: fmt.Sprint("lease-", max(n-1, 1)), Expires: time.Now().Add(time.Hour)}
	}
	i := provider.NewInstance(provider.InstanceOptions{Name: "vault", Provider: checkedEngine{e}, Cache: time.Minute})
	c := provider.NewCredentials("orders", []provider.Ref{{Name: "password", Instance: i, Get: "db"}}, nil)
	i.Close()
	defer c.Close()
	mustGet(t, c).Wipe()
	denied, rejected := mustGet(t, c), mustGet(t, c)
	c.Drop(denied)
	wantPassword(t, c, 2) // the first lease once more
	if !c.Rejected(rejected) {
		t.Error("no retry")
	}
	wantPassword(t, c, 3)
}

// A lease that its source revokes is rejected by all who log in with it at that
// moment. That is one rejection, and the next lease is nobody's fault.
func TestRevokedLeaseDoesNotSuspend(t *testing.T) {
	for name, cache := range map[string]time.Duration{"cached": time.Minute, "not cached": 0} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(time.Hour)
			good := 1
			e.answer = func(int, string) string { return fmt.Sprint(good) } // a keeper gives out a lease that is still good
			c := resolveEngine(t, e, provider.InstanceOptions{Cache: cache})
			for ; good <= 20; good++ {
				sets := make([]*secret.Set, 16)
				for n := range sets {
					sets[n] = mustGet(t, c)
				}
				c.Accepted(sets[0])
				good++ // revoked, and another in its place
				for _, set := range sets {
					c.Rejected(set)
				}
				c.Accepted(mustGet(t, c))
			}
		})
	}
}

// What is not handed on is released all the same, and a keeper's panic stays
// its own.
func TestLeasesThatNobodyTakes(t *testing.T) {
	two := func(extra int) map[string]provider.Lease {
		return map[string]provider.Lease{
			"db": {Value: secret.Copy("x"), ID: "a"}, "other": {Value: secret.New(make([]byte, extra)), ID: "b"},
		}
	}
	for refs, want := range map[string]string{"db": "a b", "db,other": "a b", "none": "a b"} {
		k := &keeper{fetchFunc: func(context.Context, []string) (map[string]provider.Lease, error) { return two(1<<20 + 1), nil }}
		i := provider.NewInstance(provider.InstanceOptions{Name: "p", Provider: k})
		var list []provider.Ref
		for _, ref := range strings.Split(refs, ",") {
			list = append(list, provider.Ref{Name: ref, Instance: i, Get: ref})
		}
		c := provider.NewCredentials("s", list, nil)
		set, err := c.Get(t.Context())
		if (err == nil) != (refs == "db") {
			t.Errorf("%s: %v", refs, err)
		}
		set.Wipe()
		c.Close()
		i.Close()
		slices.Sort(k.told)
		if got := strings.Join(k.told, " "); got != want {
			t.Errorf("%s: told %q, want %q", refs, got, want)
		}
	}
}

// keeper panics after it has taken note.
type keeper struct {
	fetchFunc
	told []string
}

func (k *keeper) Rejected(id string) { k.Released(id) }

func (k *keeper) Released(id string) {
	k.told = append(k.told, id)
	panic("no " + canary)
}
