package provider_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"secretless/internal/provider"
)

// A panic in a goroutine of a provider's own is an error for who waits, and no
// secret in the log.
func TestGo(t *testing.T) {
	var nothing []int
	for name, test := range map[string]struct {
		work   func()
		logged string // empty: it does not panic
	}{
		"works":              {func() {}, ""},
		"panics of its own":  {func() { panic("no " + canary) }, "panic=string"},
		"panics of an error": {func() { panic(errors.New(canary)) }, "panic=*errors.errorString"},
		"runtime's":          {func() { nothing[len(canary)] = 1 }, "index out of range"},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			var owner sync.WaitGroup
			var failed error
			provider.Go(&owner, logTo(&log), "test", test.work, func(err error) { failed = err })
			provider.Go(&owner, nil, "test", test.work, nil)
			owner.Wait()
			if test.logged == "" {
				if failed != nil || log.Len() > 0 {
					t.Errorf("got %v, log %s", failed, &log)
				}
				return
			}
			wantError(t, failed, "provider failed internally, see the broker's log")
			for _, part := range []string{"provider panicked", "doing=test", test.logged, "goroutine_test.go"} {
				if !strings.Contains(log.String(), part) {
					t.Errorf("log has no %q: %s", part, &log)
				}
			}
			if strings.Contains(log.String(), canary) {
				t.Errorf("log contains a secret: %s", &log)
			}
		})
	}
}

// closing is a provider whose Close does what a test says.
type closing struct {
	fetchFunc
	close func()
}

func (c closing) Close() { c.close() }

func TestCloseThatPanics(t *testing.T) {
	var log strings.Builder
	provider.NewInstance(provider.InstanceOptions{
		Name: "vault", Provider: closing{close: func() { panic(canary) }}, Log: logTo(&log),
	}).Close()
	if !strings.Contains(log.String(), "doing=close") || strings.Contains(log.String(), canary) {
		t.Errorf("log: %s", &log)
	}
}

// A provider that does not end its own work keeps nothing from stopping. What
// it needs to revoke what it holds is given.
func TestCloseThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for work, took := range map[time.Duration]time.Duration{
			5 * time.Second: 5 * time.Second,
			time.Hour:       10 * time.Second,
		} {
			var log strings.Builder
			i := provider.NewInstance(provider.InstanceOptions{
				Name: "vault", Provider: closing{close: func() { time.Sleep(work) }}, Log: logTo(&log),
			})
			start := time.Now()
			i.Close()
			if d := time.Since(start); d != took {
				t.Errorf("%v of work: closing took %v", work, d)
			}
			if strings.Contains(log.String(), "left behind") != (took < work) {
				t.Errorf("%v of work: log: %s", work, &log)
			}
		}
		time.Sleep(time.Hour)
	})
}
