package provider_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"secretless/internal/provider"
)

func TestCache(t *testing.T) {
	for name, test := range map[string]struct {
		cache, lease time.Duration
		lives        time.Duration // zero: not cached
	}{
		"off":                    {0, 0, 0},
		"off though leased":      {0, time.Hour, 0},
		"a minute":               {time.Minute, 0, time.Minute},
		"capped by the lease":    {time.Minute, 10 * time.Second, 10 * time.Second},
		"longer lease":           {time.Minute, time.Hour, time.Minute},
		"lease already over":     {time.Minute, -time.Second, 0},
		"negative means nothing": {-time.Minute, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{expires: test.lease}
				c := resolve(t, f, provider.InstanceOptions{Cache: test.cache})
				wantPassword(t, c, 1)
				if test.lives == 0 {
					wantPassword(t, c, 2)
					if f.alive() != 0 {
						t.Error("value not wiped")
					}
					return
				}
				time.Sleep(test.lives - 1)
				wantPassword(t, c, 1)
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if f.alive() != 0 { // though nobody asked
					t.Error("expired value not wiped")
				}
				wantPassword(t, c, 2)
			})
		})
	}
}

func TestCacheIsByIDSet(t *testing.T) {
	f := &fake{}
	i := provider.NewInstance(provider.InstanceOptions{Name: "v", Provider: f, Cache: time.Hour})
	one := provider.NewCredentials("s", []provider.Ref{{Name: "a", Instance: i, Get: "x"}}, nil)
	same := provider.NewCredentials("s2", []provider.Ref{{Name: "b", Instance: i, Get: "x"}}, nil)
	more := provider.NewCredentials("s3", []provider.Ref{{Name: "a", Instance: i, Get: "x"}, {Name: "b", Instance: i, Get: "y"}}, nil)
	i.Close()
	for _, c := range []*provider.Credentials{one, same, more} {
		mustGet(t, c).Wipe()
	}
	if f.count() != 2 {
		t.Errorf("%d lookups", f.count())
	}
	if s := i.Stats(); s.Lookups != 2 || s.Hits != 1 || s.Failures != 0 || s.Cached != 2 || s.Down || s.Answered.IsZero() || s.LastError != nil {
		t.Errorf("stats %+v", s)
	}
	one.Close()
	same.Close()
	if f.closed != 0 || f.alive() != 3 {
		t.Errorf("closed %d times while in use, %d values alive", f.closed, f.alive())
	}
	more.Close()
	more.Close()
	if f.closed != 1 || f.alive() != 0 {
		t.Errorf("closed %d times, %d values alive", f.closed, f.alive())
	}
	if _, err := more.Get(t.Context()); err == nil {
		t.Error("closed credentials still answer")
	}
}

func TestCacheIsBounded(t *testing.T) {
	f := &fake{}
	i := provider.NewInstance(provider.InstanceOptions{Name: "v", Provider: f, Cache: time.Hour})
	for n := range 1100 {
		c := provider.NewCredentials("s", []provider.Ref{{Name: "a", Instance: i, Get: fmt.Sprint(n)}}, nil)
		mustGet(t, c).Wipe()
		c.Close()
	}
	if f.alive() != 1024 {
		t.Errorf("%d values in the cache", f.alive())
	}
	i.Close()
	if f.alive() != 0 {
		t.Error("values not wiped")
	}
}

func TestStaleIfError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		var log strings.Builder
		c := resolve(t, f, provider.InstanceOptions{Cache: time.Minute, StaleIfError: time.Hour, Log: logTo(&log)})
		wantPassword(t, c, 1)
		f.set(func(f *fake) { f.err = transient("connection refused") })
		time.Sleep(2 * time.Minute)
		for range 5 {
			wantPassword(t, c, 1)
		}
		if f.count() != 2 || strings.Count(log.String(), "serving expired") != 1 {
			t.Errorf("%d lookups, log: %s", f.count(), &log)
		}
		time.Sleep(10 * time.Second)
		f.set(func(f *fake) { f.err = nil })
		wantPassword(t, c, 1) // nobody waits, but the provider is asked
		synctest.Wait()
		wantPassword(t, c, 3) // fresh again

		f.set(func(f *fake) { f.err = errors.New("forbidden") })
		time.Sleep(2 * time.Minute)
		_, err := c.Get(t.Context())
		wantError(t, err, "provider vault: db: forbidden") // an answer, not an outage

		f.set(func(f *fake) { f.err = transient("connection refused") })
		wantPassword(t, c, 3)
		time.Sleep(time.Hour)
		synctest.Wait()
		if _, err := c.Get(t.Context()); err == nil {
			t.Error("served past staleIfError")
		}
		if f.alive() != 0 || strings.Contains(log.String(), canary) {
			t.Errorf("%d values alive, log %s", f.alive(), &log)
		}
	})
}

// A lease's expiry is the source's word: nothing serves past it.
func TestStaleEndsWithTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{expires: 2 * time.Minute}
		c := resolve(t, f, provider.InstanceOptions{Cache: time.Minute, StaleIfError: time.Hour})
		wantPassword(t, c, 1)
		f.set(func(f *fake) { f.err = transient("down") })
		time.Sleep(119 * time.Second)
		wantPassword(t, c, 1)
		time.Sleep(time.Second)
		_, err := c.Get(t.Context())
		wantError(t, err, "provider vault: down")
	})
}

func TestStaleWithoutCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := resolve(t, f, provider.InstanceOptions{StaleIfError: time.Hour})
		wantPassword(t, c, 1)
		wantPassword(t, c, 2)
		f.set(func(f *fake) { f.delay = time.Hour })
		wantPassword(t, c, 2)
	})
}

func TestStaleWhileTheProviderHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := resolve(t, f, provider.InstanceOptions{Cache: time.Minute, StaleIfError: time.Hour})
		wantPassword(t, c, 1)
		deaf := make(chan struct{})
		f.set(func(f *fake) { f.deaf = deaf })
		time.Sleep(2 * time.Minute)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { wantPassword(t, c, 1) })
		}
		wg.Wait()
		start := time.Now()
		wantPassword(t, c, 1)
		if !time.Now().Equal(start) {
			t.Error("waited for a provider that is known to hang")
		}
		close(deaf)
	})
}

// A secret of another provider is read through that one's cache, and a refused
// one is not read twice.
func TestSecretSetting(t *testing.T) {
	f := &fake{}
	i := provider.NewInstance(provider.InstanceOptions{Name: "keys", Provider: f, Cache: time.Hour})
	s := provider.NewSetting("provider vault: token", provider.Ref{Instance: i, Get: "t"})
	top := &fake{}
	user := provider.NewInstance(provider.InstanceOptions{Name: "vault", Provider: top, Settings: []provider.SecretSetting{s}})
	i.Close()
	read := func(want string) {
		t.Helper()
		v, err := s.Get(t.Context())
		if err != nil || string(v.Bytes()) != want {
			t.Errorf("got %s, %v, want %s", v.Bytes(), err, want)
		}
		v.Wipe()
	}
	read(canary + "-t-1")
	read(canary + "-t-1")
	s.Forget()
	read(canary + "-t-2")
	f.set(func(f *fake) { f.err = transient("down") })
	s.Forget()
	_, err := s.Get(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "provider keys: down (tried ") {
		t.Errorf("got %v", err)
	}
	if f.closed != 0 {
		t.Error("closed while in use")
	}
	user.Close()
	if f.closed != 1 || top.closed != 1 || f.alive() != 0 {
		t.Errorf("closed %d times, %d values alive", f.closed, f.alive())
	}
}

// A failure of the provider that holds the token is retried like one's own.
func TestTransientErrorBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{hook: func(_ context.Context, n int) error {
			if n == 1 {
				return &provider.Error{Err: fmt.Errorf("token: %w", transient("down"))}
			}
			return nil
		}}
		wantPassword(t, resolve(t, f, provider.InstanceOptions{}), 2)
	})
}
