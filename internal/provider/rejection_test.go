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
	"secretless/internal/secret"
)

func TestRotation(t *testing.T) {
	f := &fake{}
	c := resolve(t, f, provider.InstanceOptions{Cache: time.Hour})
	fresh := mustGet(t, c)
	c.Accepted(fresh)
	cached := mustGet(t, c)
	if !c.Rejected(cached) {
		t.Error("cached set: no retry")
	}
	wantPassword(t, c, 2)
	if !c.Rejected(fresh) { // a newer one has taken its place
		t.Error("replaced set: no retry")
	}
	wantPassword(t, c, 2)
	if f.alive() != 1 {
		t.Errorf("%d values alive", f.alive())
	}
}

func TestFreshRejectedIsDroppedWithoutRetry(t *testing.T) {
	for _, cache := range []time.Duration{0, time.Hour} {
		f := &fake{}
		c := resolve(t, f, provider.InstanceOptions{Cache: cache})
		if c.Rejected(mustGet(t, c)) {
			t.Errorf("cache %v: retry", cache)
		}
		wantPassword(t, c, 2)
	}
}

// Only instances whose values came from the cache are asked again; literals
// never are.
func TestRejectedSetOfLiterals(t *testing.T) {
	c := provider.NewCredentials("s", []provider.Ref{{Name: "password", Literal: secret.Copy("x")}}, nil)
	defer c.Close()
	if c.Rejected(mustGet(t, c)) {
		t.Error("retry of a literal")
	}
	if c.Rejected(secret.NewSet(nil)) {
		t.Error("retry of a foreign set")
	}
}

func TestHundredRejectionsOneLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{delay: 10 * time.Millisecond}
		c := resolve(t, f, provider.InstanceOptions{Cache: time.Hour})
		c.Accepted(mustGet(t, c))
		var wg sync.WaitGroup
		for n := range 100 {
			set := mustGet(t, c)
			wg.Go(func() {
				time.Sleep(time.Duration(n+1) * time.Millisecond) // the handshake
				if !c.Rejected(set) {
					t.Error("no retry")
				}
				set.Wipe()
				wantPassword(t, c, 2)
			})
		}
		wg.Wait()
		if f.count() != 2 {
			t.Errorf("%d lookups", f.count())
		}
	})
}

// breakerTest is a service whose target rejects everything but what it likes.
type breakerTest struct {
	*testing.T
	f     *fake
	c     *provider.Credentials
	log   strings.Builder
	right string
	tries int // at the target
}

func newBreakerTest(t *testing.T, cache time.Duration) *breakerTest {
	b := &breakerTest{T: t, f: &fake{answer: func(int, string) string { return canary + "-old" }}}
	b.c = resolve(t, b.f, provider.InstanceOptions{Cache: cache, Log: logTo(&b.log)})
	return b
}

// connect is one handshake; it reports whether it got as far as the target,
// and whether that said yes.
func (b *breakerTest) connect() (tried, accepted bool) {
	b.Helper()
	set, err := b.c.Get(b.Context())
	if err != nil {
		if _, ok := errors.AsType[*provider.SuspendedError](err); !ok || strings.Contains(err.Error(), canary) {
			b.Errorf("unexpected error %v", err)
		}
		return false, false
	}
	defer set.Wipe()
	b.tries++
	if set.Text("password", "") == b.right {
		b.c.Accepted(set)
		return true, true
	}
	b.c.Rejected(set)
	return true, false
}

func (b *breakerTest) suspend() {
	b.Helper()
	for range 5 {
		if tried, _ := b.connect(); !tried {
			b.Fatal("suspended too early")
		}
	}
	if tried, _ := b.connect(); tried {
		b.Fatal("not suspended after 5 rejections")
	}
}

func TestBreakerBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreakerTest(t, time.Hour)
		start := time.Now()
		b.suspend()
		for _, wait := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
			d := time.Duration(wait) * time.Second
			time.Sleep(d - 1)
			if tried, _ := b.connect(); tried {
				t.Fatalf("tried before %v", d)
			}
			time.Sleep(time.Nanosecond)
			if tried, _ := b.connect(); !tried {
				t.Fatalf("not tried after %v", d)
			}
		}
		_, err := b.c.Get(t.Context())
		wantError(t, err, "credentials of service orders are suspended: the target rejected them 13 times in a row since "+
			start.Format(time.RFC3339)+"; next try in 1m0s; correct the secret at its provider (a changed one is tried at once) "+
			"or the account at the target")
		if strings.Contains(b.log.String(), canary) {
			t.Errorf("log contains a secret: %s", &b.log)
		}
	})
}

func TestBreakerAcceptedInBetween(t *testing.T) {
	b := newBreakerTest(t, 0)
	for range 3 {
		for range 4 {
			if tried, _ := b.connect(); !tried {
				t.Fatal("suspended")
			}
		}
		b.right = canary + "-old"
		if _, ok := b.connect(); !ok {
			t.Fatal("not accepted")
		}
		b.right = ""
	}
}

func TestBreakerChangedSecret(t *testing.T) {
	for _, cache := range []time.Duration{0, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			b := newBreakerTest(t, cache)
			b.suspend()
			b.right = canary + "-new"
			b.f.set(func(f *fake) { f.answer = func(int, string) string { return canary + "-new" } })
			// With a cache, which holds the old one, at most a second later.
			if cache > 0 {
				time.Sleep(999 * time.Millisecond)
				b.connect()
				time.Sleep(time.Millisecond)
			}
			if _, ok := b.connect(); !ok {
				t.Fatalf("cache %v: changed secret not tried", cache)
			}
		})
	}
}

// While suspended, clients that hammer the service do not hammer the provider.
func TestBreakerSparesTheProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreakerTest(t, time.Hour)
		b.suspend()
		before := b.f.count()
		for range 1000 {
			b.connect()
			time.Sleep(10 * time.Millisecond)
		}
		if n := b.f.count() - before; n > 20 {
			t.Errorf("%d lookups in 10 s", n)
		}
	})
}

func TestBreakerConcurrentBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreakerTest(t, 0)
		var sets []*secret.Set
		for range 100 {
			sets = append(sets, mustGet(t, b.c))
		}
		for _, s := range sets {
			b.c.Rejected(s)
		}
		_, err := b.c.Get(t.Context())
		e, ok := errors.AsType[*provider.SuspendedError](err)
		if !ok || e.Rejections != 5 || e.RetryIn != time.Second {
			t.Errorf("after a burst of 100: %v", err)
		}
	})
}

func TestBreakerOneTrialAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreakerTest(t, 0)
		b.suspend()
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		trial, err := b.c.Get(ctx)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if tried, _ := b.connect(); tried {
			t.Fatal("second trial beside the first")
		}
		cancel() // its connection ends without a verdict
		synctest.Wait()
		time.Sleep(time.Second)
		second := mustGet(t, b.c)
		b.c.Rejected(trial) // too late to count
		_, err = b.c.Get(t.Context())
		if e, ok := errors.AsType[*provider.SuspendedError](err); !ok || e.Rejections != 5 {
			t.Errorf("late verdict counted: %v", err)
		}
		b.c.Accepted(second)
		b.right = canary + "-old"
		if _, ok := b.connect(); !ok {
			t.Error("still suspended after a success")
		}
	})
}

func TestBreakerTrialWithoutVerdictOrEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreakerTest(t, 0)
		b.suspend()
		time.Sleep(time.Second)
		if _, err := b.c.Get(context.Background()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		if tried, _ := b.connect(); !tried {
			t.Error("lost trial suspends for ever")
		}
	})
}

func TestCheckDoesNotNeedTheTarget(t *testing.T) {
	b := newBreakerTest(t, 0)
	b.suspend()
	if err := b.c.Check(t.Context()); err != nil {
		t.Error(err)
	}
	b.f.set(func(f *fake) { f.err = fmt.Errorf("down") })
	wantError(t, b.c.Check(t.Context()), "provider vault: db: down")
	if b.f.alive() != 0 {
		t.Error("values not wiped")
	}
}

// A target cannot say that a password is wrong by its newline; the log does,
// once, where a line ends with one and nothing else would explain it.
func TestRejectedNewlineIsNamed(t *testing.T) {
	for value, want := range map[string]int{
		canary + "\n": 1, canary + "\r\n": 1,
		canary: 0, "\n" + canary: 0, "BEGIN\n" + canary + "\nEND\n": 0, "": 0,
	} {
		b := newBreakerTest(t, 0)
		b.f.answer = func(int, string) string { return value }
		b.connect()
		b.connect()
		log := b.log.String()
		if strings.Count(log, "ends with a newline") != want || strings.Contains(log, canary) || want > 0 && !strings.Contains(log, "credential=password provider=vault") {
			t.Errorf("%q: %s", value, log)
		}
	}
}
