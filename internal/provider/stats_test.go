package provider_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"secretless/internal/provider"
)

// Stats tell when a provider last answered, when it last failed and why, and
// that it is down until it answers again.
func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		i := provider.NewInstance(provider.InstanceOptions{Name: "v", Provider: f})
		c := provider.NewCredentials("s", []provider.Ref{{Name: "a", Instance: i, Get: "x"}}, nil)
		defer c.Close()
		i.Close()
		began := time.Now()
		mustGet(t, c).Wipe()
		if s := i.Stats(); !s.Answered.Equal(began) || !s.Failed.IsZero() || s.LastError != nil || s.Down {
			t.Errorf("after an answer: %+v", s)
		}

		f.mu.Lock()
		f.err = transient("connection refused")
		f.mu.Unlock()
		if _, err := c.Get(t.Context()); err == nil {
			t.Fatal("no error")
		}
		s := i.Stats()
		if s.Failures != 1 || !s.Down || !s.Failed.Equal(time.Now()) || s.LastError == nil || s.LastError.Error() != fmt.Sprintf("provider v: connection refused (tried %d times in %v)", f.count()-1, time.Since(began).Round(100*time.Millisecond)) {
			t.Errorf("after a failure: %+v", s)
		}

		f.mu.Lock()
		f.err = nil
		f.mu.Unlock()
		time.Sleep(time.Second)
		mustGet(t, c).Wipe()
		if s := i.Stats(); s.Down || !s.Answered.Equal(time.Now()) || s.LastError == nil {
			t.Errorf("after it came back: %+v", s)
		}
	})
}
