package cli

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"secretless/internal/config"
	"secretless/internal/resource"
)

func TestPassing(t *testing.T) {
	busy := errors.New("address already in use")
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"none":                 {nil, false},
		"taken":                {busy, true},
		"taken, at the start":  {&exitError{code: ExitFailure, err: busy}, true},
		"mistakes":             {usage(config.Errors{{Text: "unknown key"}}), false},
		"needs another start":  {lastingError{busy}, false},
		"confined":             {fmt.Errorf("%w: port 5432", errConfined), false},
		"the resource is gone": {fmt.Errorf("%w: deleted", resource.ErrNone), false},
	} {
		if got := passing(c.err); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What failed is tried again, less and less often; a change begins anew, and
// success, a mistake or the end of the broker is the end of it.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, busy := newRetries(), errors.New("address already in use")
		fires := func(least, most time.Duration) {
			t.Helper()
			began := time.Now()
			<-r.C()
			if took := time.Since(began); took < least || took > most {
				t.Errorf("after %v, want %v to %v", took, least, most)
			}
			if !r.take() || r.take() {
				t.Error("taken never, or twice")
			}
		}
		silent := func() {
			t.Helper()
			time.Sleep(time.Hour)
			select {
			case <-r.C():
				if r.take() {
					t.Error("tried again")
				}
			default:
			}
		}
		r.ended(byWatch, busy)
		fires(firstRetry*3/4, firstRetry*5/4)
		r.ended(byRetry, busy)
		fires(2*firstRetry*3/4, 2*firstRetry*5/4)
		for range 20 {
			r.ended(byRetry, busy)
			fires(0, longestRetry*5/4)
		}
		r.ended(byRetry, busy)
		fires(longestRetry*3/4, longestRetry*5/4)
		r.later() // something is drained
		fires(longestRetry*3/4, longestRetry*5/4)
		r.ended(byAdmin, busy)
		fires(firstRetry*3/4, firstRetry*5/4)

		r.ended(byRetry, nil)
		silent()
		r.ended(byWatch, busy)
		time.Sleep(2 * firstRetry) // it is due, and
		r.ended(bySignal, nil)     // somebody is faster
		silent()
		r.ended(byWatch, busy)
		r.ended(byWatch, config.Errors{{Text: "unknown key"}})
		silent()
		r.ended(byWatch, busy)
		r.close()
		r.ended(byWatch, busy)
		r.later()
		silent()
	})
	var none *retries
	none.ended(byAdmin, errors.New("x"))
	none.close()
	if none.C() != nil {
		t.Error("a broker that follows nothing tries again")
	}
}
