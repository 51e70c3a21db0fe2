package provider_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"secretless/internal/provider"
)

// waysDown are how a provider is down until up is set: each lookup that begins
// before that ends in its way.
var waysDown = map[string]func(context.Context) error{
	"refusing": func(context.Context) error { return transient("connection refused") },
	"hanging": func(ctx context.Context) error {
		<-ctx.Done()
		return &provider.Error{Err: ctx.Err(), Transient: true}
	},
	"slow and failing": func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Second):
			return transient("bad gateway")
		}
	},
}

// A dead provider costs the first caller the deadline and the others next to
// nothing, and they notice within a second that it is back.
func TestOutage(t *testing.T) {
	for name, fail := range waysDown {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := false
				f := &fake{}
				f.hook = func(ctx context.Context, _ int) error {
					f.mu.Lock()
					answers := up
					f.mu.Unlock()
					if answers {
						return nil
					}
					return fail(ctx)
				}
				var log strings.Builder
				c := resolve(t, f, provider.InstanceOptions{Log: logTo(&log)})
				get := func() (took time.Duration, err error) {
					start := time.Now()
					set, err := c.Get(t.Context())
					set.Wipe()
					return time.Since(start), err
				}
				if took, err := get(); err == nil || took > provider.DefaultTimeout {
					t.Errorf("first: %v after %v", err, took)
				}
				down, before := time.Now(), f.count()
				for time.Since(down) < time.Minute {
					if took, err := get(); err == nil || took > time.Second/2 || !strings.Contains(err.Error(), "provider vault") {
						t.Fatalf("while down: %v after %v", err, took)
					}
					time.Sleep(50 * time.Millisecond)
				}
				if n := f.count() - before; n < 30 || n > 160 {
					t.Errorf("%d lookups in a minute of outage", n)
				}
				f.set(func(*fake) { up = true })
				back := time.Now()
				for {
					if _, err := get(); err == nil {
						break
					}
					time.Sleep(10 * time.Millisecond)
				}
				if took := time.Since(back); took > time.Second {
					t.Errorf("recovery noticed after %v", took)
				}
				for range 100 { // probes that were under way fail meanwhile, and change nothing
					if took, err := get(); err != nil || took > 0 {
						t.Errorf("after the outage: %v after %v", err, took)
					}
					time.Sleep(100 * time.Millisecond)
				}
				for _, want := range []string{"provider is down", "provider answers again"} {
					if strings.Count(log.String(), want) != 1 {
						t.Errorf("%q is not there once: %s", want, &log)
					}
				}
			})
		})
	}
}

func TestOutageText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{err: transient("connection refused")}
		c := resolve(t, f, provider.InstanceOptions{})
		start := time.Now()
		_, err := c.Get(t.Context())
		wantError(t, err, fmt.Sprintf("provider vault: connection refused (tried %d times in %v)", f.count(), time.Since(start).Round(100*time.Millisecond)))
		time.Sleep(20 * time.Second)
		_, _ = c.Get(t.Context())
		_, err = c.Get(t.Context())
		wantError(t, err, "provider vault: connection refused (down for 20s, asked again twice a second)")
		if !errors.Is(err, errors.Unwrap(err)) {
			t.Error("the cause is lost")
		}
	})
}

// With an expired entry and staleIfError an outage costs nobody anything but,
// once, the wait for the first lookup that fails.
func TestOutageWithStaleEntry(t *testing.T) {
	for name, fail := range waysDown {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{}
				c := resolve(t, f, provider.InstanceOptions{Cache: time.Second, StaleIfError: time.Hour})
				wantPassword(t, c, 1)
				f.set(func(f *fake) { f.hook = func(ctx context.Context, _ int) error { return fail(ctx) } })
				time.Sleep(time.Second)
				wantPassword(t, c, 1)
				for range 600 {
					start := time.Now()
					wantPassword(t, c, 1)
					if took := time.Since(start); took > 0 {
						t.Fatalf("took %v", took)
					}
					time.Sleep(100 * time.Millisecond)
				}
				f.set(func(f *fake) { f.hook = nil })
				for range 10 {
					set := mustGet(t, c)
					set.Wipe()
					time.Sleep(100 * time.Millisecond)
				}
				if got := password(t, c); got == canary+"-db-1" {
					t.Error("a second after its return the provider's old value is served")
				}
			})
		})
	}
}

// One secret that its provider cannot have does not take the others along.
func TestOutageIsOfOneIDSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		i := provider.NewInstance(provider.InstanceOptions{Name: "v", Provider: onlyFails{f, "bad"}})
		bad := provider.NewCredentials("s", []provider.Ref{{Name: "a", Instance: i, Get: "bad"}}, nil)
		good := provider.NewCredentials("s", []provider.Ref{{Name: "a", Instance: i, Get: "good"}}, nil)
		i.Close()
		defer good.Close()
		defer bad.Close()
		for range 5 {
			if _, err := bad.Get(t.Context()); err == nil {
				t.Error("no error")
			}
			mustGet(t, good).Wipe()
		}
	})
}

type onlyFails struct {
	*fake
	ref string
}

func (o onlyFails) Fetch(ctx context.Context, refs []string) (map[string]provider.Lease, error) {
	if refs[0] == o.ref {
		return nil, transient("database of the secret is down")
	}
	return o.fake.Fetch(ctx, refs)
}

// An answer ends an outage, be it one that refuses.
func TestRefusalEndsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{err: transient("down")}
		c := resolve(t, f, provider.InstanceOptions{})
		_, _ = c.Get(t.Context())
		f.set(func(f *fake) { f.err = errors.New("forbidden") })
		for range 2 {
			_, err := c.Get(t.Context())
			wantError(t, err, "provider vault: db: forbidden")
		}
		f.set(func(f *fake) { f.err, f.delay = nil, 3*time.Second })
		before := f.count()
		wantPassword(t, c, before+1) // has its whole time
	})
}

// An outage that nobody has seen for a minute is forgotten: a provider that is
// slow by nature gets its time again.
func TestOutageIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{err: transient("down")}
		c := resolve(t, f, provider.InstanceOptions{})
		_, _ = c.Get(t.Context())
		f.set(func(f *fake) { f.err, f.delay = nil, 4*time.Second })
		time.Sleep(time.Minute)
		n := f.count()
		wantPassword(t, c, n+1)
	})
}
