package provider_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"secretless/internal/provider"
	"secretless/internal/secret"
)

func TestOneLookupPerInstance(t *testing.T) {
	a, b := &fake{}, &fake{}
	ia := provider.NewInstance(provider.InstanceOptions{Name: "a", Provider: a})
	ib := provider.NewInstance(provider.InstanceOptions{Name: "b", Provider: b})
	c := provider.NewCredentials("orders", []provider.Ref{
		{Name: "username", Instance: ia, Get: "db#user"},
		{Name: "host", Literal: secret.Copy("db.internal")},
		{Name: "password", Instance: ia, Get: "db#password"},
		{Name: "again", Instance: ia, Get: "db#password"},
		{Name: "token", Instance: ib, Get: "t"},
	}, nil)
	defer func() { ia.Close(); ib.Close(); c.Close() }()
	set := mustGet(t, c)
	if want := [][]string{{"db#password", "db#user"}}; len(a.calls) != 1 || !slices.Equal(a.calls[0], want[0]) {
		t.Errorf("lookups: %v, want %v", a.calls, want)
	}
	if b.count() != 1 {
		t.Errorf("%d lookups at b", b.count())
	}
	for name, want := range map[string]string{
		"username": canary + "-db#user-1", "password": canary + "-db#password-1",
		"again": canary + "-db#password-1", "token": canary + "-t-1", "host": "db.internal",
	} {
		if got := set.Text(name, ""); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	set.Wipe()
	if again := mustGet(t, c); again.Text("host", "") != "db.internal" {
		t.Error("wiping a set wiped the literal")
	}
	if n := a.alive() + b.alive(); n != 0 {
		t.Errorf("%d uncached values not wiped", n)
	}
}

func TestInstancesAreAskedInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refs []provider.Ref
		for _, name := range []string{"a", "b", "c"} {
			i := provider.NewInstance(provider.InstanceOptions{Name: name, Provider: &fake{delay: time.Second}})
			defer i.Close()
			refs = append(refs, provider.Ref{Name: name, Instance: i, Get: "x"})
		}
		c := provider.NewCredentials("orders", refs, nil)
		defer c.Close()
		start := time.Now()
		mustGet(t, c)
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestSeveralFailuresJoin(t *testing.T) {
	good := &fake{}
	one := &fake{err: &provider.Error{Ref: "a", Err: errors.New("sealed")}}
	two := &fake{err: errors.New("forbidden")}
	var refs []provider.Ref
	for name, f := range map[string]*fake{"good": good} {
		i := provider.NewInstance(provider.InstanceOptions{Name: name, Provider: f, Cache: time.Hour})
		defer i.Close()
		refs = append(refs, provider.Ref{Name: name, Instance: i, Get: "x"})
	}
	for _, f := range []*fake{one, two} {
		i := provider.NewInstance(provider.InstanceOptions{Name: "p", Provider: f})
		defer i.Close()
		refs = append(refs, provider.Ref{Name: "n", Instance: i, Get: "x"})
	}
	c := provider.NewCredentials("orders", refs, nil)
	defer c.Close()
	_, err := c.Get(t.Context())
	wantError(t, err, "provider p: a: sealed; provider p: x: forbidden")
	if !errors.Is(err, two.err) || errors.Is(err, context.Canceled) {
		t.Error("errors.Is does not see through the joined error")
	}
	if e, ok := errors.AsType[*provider.Error](err); !ok || e.Ref != "a" {
		t.Error("errors.As does not see through the joined error")
	}
}

func TestSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{delay: time.Second}
		c := resolve(t, f, provider.InstanceOptions{})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { wantPassword(t, c, 1) })
		}
		wg.Wait()
		if f.count() != 1 || f.alive() != 0 {
			t.Errorf("%d lookups, %d values alive", f.count(), f.alive())
		}
	})
}

// The first caller starts the lookup; it must not take it along when it goes.
func TestGivingUpLeavesTheOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{delay: time.Second}
		c := resolve(t, f, provider.InstanceOptions{})
		cause := errors.New("client went away")
		ctx, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := c.Get(ctx)
			wantError(t, err, "provider vault: db: gave up waiting for the lookup: client went away")
			if !errors.Is(err, cause) {
				t.Error("cause lost")
			}
		})
		synctest.Wait()
		wg.Go(func() { wantPassword(t, c, 1) })
		synctest.Wait()
		start := time.Now()
		cancel(cause)
		synctest.Wait()
		if !time.Now().Equal(start) {
			t.Error("caller did not leave at once")
		}
		wg.Wait()
		if f.alive() != 0 {
			t.Error("value not wiped")
		}
	})
}

func TestNobodyLeftToTakeTheValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{delay: time.Second}
		c := resolve(t, f, provider.InstanceOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := c.Get(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(f.leases) != 1 || f.alive() != 0 {
			t.Errorf("%d values, %d alive", len(f.leases), f.alive())
		}
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{delay: time.Hour}
		c := resolve(t, f, provider.InstanceOptions{})
		start := time.Now()
		_, err := c.Get(t.Context())
		wantError(t, err, "provider vault: db: no answer within 5s")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error("the cause is lost")
		}
		if took := time.Since(start); took != provider.DefaultTimeout {
			t.Errorf("took %v", took)
		}
	})
}

func TestTransientErrorsAreRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{hook: func(_ context.Context, n int) error {
			if n < 4 {
				return transient("sealed")
			}
			return nil
		}}
		c := resolve(t, f, provider.InstanceOptions{})
		start := time.Now()
		wantPassword(t, c, 4)
		// Back-offs of 100, 200 and 400 ms, each at least half.
		if took := time.Since(start); took < 350*time.Millisecond || took > 700*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

func TestRetriesEndWithTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{err: transient("sealed")}
		c := resolve(t, f, provider.InstanceOptions{Timeout: 3 * time.Second})
		start := time.Now()
		_, err := c.Get(t.Context())
		took := time.Since(start)
		wantError(t, err, fmt.Sprintf("provider vault: sealed (tried %d times in %v)", f.count(), took.Round(100*time.Millisecond)))
		if took > 3*time.Second || f.count() < 4 {
			t.Errorf("%d tries in %v", f.count(), took)
		}
	})
}

func TestOtherErrorsAreNotRetried(t *testing.T) {
	f := &fake{err: errors.New("forbidden")}
	c := resolve(t, f, provider.InstanceOptions{})
	_, err := c.Get(t.Context())
	wantError(t, err, "provider vault: db: forbidden")
	if f.count() != 1 {
		t.Errorf("%d tries", f.count())
	}
}

// A Fetch that ignores its context holds up neither callers nor, for ever, the
// instance, and cannot pile up goroutines.
func TestHangingProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{deaf: make(chan struct{})}
		var log strings.Builder
		c := resolve(t, f, provider.InstanceOptions{Log: logTo(&log)})
		for range 12 {
			start := time.Now()
			if _, err := c.Get(t.Context()); err == nil {
				t.Fatal("no error")
			} else if took := time.Since(start); took > provider.DefaultTimeout+time.Second/10 {
				t.Errorf("took %v: %v", took, err)
			}
		}
		time.Sleep(10 * time.Second) // until all of them are overdue
		hang := f.count()
		if hang < 8 || hang > 8+16 {
			t.Errorf("%d lookups hang", hang)
		}
		_, err := c.Get(t.Context())
		wantError(t, err, fmt.Sprintf("provider vault: db: %d earlier lookups still hang; restart the broker if this does not end", hang))

		deaf := f.deaf
		f.set(func(f *fake) { f.deaf = nil })
		close(deaf)
		synctest.Wait()
		wantPassword(t, c, hang+1)
		if f.alive() != 0 {
			t.Errorf("%d late values not wiped", f.alive())
		}
	})
}

// What a lookup brings home long after its deadline may be older than what is
// in the cache by then.
func TestLateAnswerIsNotCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf := make(chan struct{})
		f := &fake{deaf: deaf}
		c := resolve(t, f, provider.InstanceOptions{Cache: time.Hour})
		if _, err := c.Get(t.Context()); err == nil {
			t.Fatal("no error")
		}
		f.set(func(f *fake) { f.deaf = nil })
		wantPassword(t, c, 2)
		close(deaf)
		synctest.Wait()
		wantPassword(t, c, 2)
	})
}

func TestCloseWaitsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{deaf: make(chan struct{})}
		var log strings.Builder
		c := resolve(t, f, provider.InstanceOptions{Log: logTo(&log)})
		ended := make(chan error)
		go func() {
			_, err := c.Get(t.Context())
			ended <- err
		}()
		synctest.Wait()
		start := time.Now()
		closed := make(chan struct{})
		go func() {
			c.Close()
			close(closed)
		}()
		wantError(t, <-ended, "provider vault: db: provider is closed")
		if took := time.Since(start); took > time.Second {
			t.Errorf("caller waited %v", took)
		}
		<-closed
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("closing took %v", took)
		}
		if !strings.Contains(log.String(), "left behind") || f.closed != 1 {
			t.Errorf("closed %d times, log: %s", f.closed, &log)
		}
		close(f.deaf)
	})
}

func TestMisbehavingProviders(t *testing.T) {
	for name, test := range map[string]struct {
		fetch fetchFunc
		want  string
	}{
		"panic with a secret": {
			func(context.Context, []string) (map[string]provider.Lease, error) { panic("no " + canary) },
			"provider vault: db: provider failed internally, see the broker's log",
		},
		"nil map": {
			func(context.Context, []string) (map[string]provider.Lease, error) { return nil, nil },
			"provider vault: db: provider answered without this id",
		},
		"too large": {
			func(context.Context, []string) (map[string]provider.Lease, error) {
				return map[string]provider.Lease{"db": {Value: secret.New(make([]byte, 1<<20+1))}}, nil
			},
			"provider vault: db: value has 1048577 bytes, more than 1048576",
		},
		"goroutine ended": {
			func(context.Context, []string) (map[string]provider.Lease, error) { runtime.Goexit(); return nil, nil },
			"provider vault: db: lookup ended without an answer",
		},
		"another provider's error": {
			func(context.Context, []string) (map[string]provider.Lease, error) {
				return nil, &provider.Error{Provider: "env", Ref: "TOKEN", Err: errors.New("not set")}
			},
			"provider vault: db: provider env: TOKEN: not set",
		},
		"own time-out": {
			func(context.Context, []string) (map[string]provider.Lease, error) {
				return nil, context.DeadlineExceeded
			},
			"provider vault: db: context deadline exceeded",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			i := provider.NewInstance(provider.InstanceOptions{Name: "vault", Provider: test.fetch, Log: logTo(&log)})
			c := provider.NewCredentials("s", []provider.Ref{{Name: "p", Instance: i, Get: "db"}}, nil)
			_, err := c.Get(t.Context())
			wantError(t, err, test.want)
			c.Close()
			i.Close()
			if strings.Contains(log.String(), canary) {
				t.Errorf("log contains a secret: %s", &log)
			}
		})
	}
}

// What was not asked for, and what came along with an error, is wiped.
func TestUnaskedValuesAreWiped(t *testing.T) {
	for _, fail := range []error{nil, errors.New("half done")} {
		extra := secret.Copy(canary)
		i := provider.NewInstance(provider.InstanceOptions{Name: "p", Provider: fetchFunc(
			func(context.Context, []string) (map[string]provider.Lease, error) {
				return map[string]provider.Lease{"db": {Value: secret.Copy("x")}, "other": {Value: extra}}, fail
			})})
		c := provider.NewCredentials("s", []provider.Ref{{Name: "p", Instance: i, Get: "db"}}, nil)
		if set, err := c.Get(t.Context()); (err == nil) != (fail == nil) {
			t.Error(err)
		} else {
			set.Wipe()
		}
		if extra.Len() != 0 {
			t.Error("not wiped")
		}
		c.Close()
		i.Close()
	}
}

type fetchFunc func(context.Context, []string) (map[string]provider.Lease, error)

func (f fetchFunc) Fetch(ctx context.Context, refs []string) (map[string]provider.Lease, error) {
	return f(ctx, refs)
}
