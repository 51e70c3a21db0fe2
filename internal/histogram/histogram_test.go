package histogram_test

import (
	"sync"
	"testing"
	"time"

	"secretless/internal/histogram"
)

func TestBuckets(t *testing.T) {
	var h histogram.Durations
	for _, d := range []time.Duration{-time.Second, 0, time.Millisecond, time.Millisecond + 1, 20 * time.Second, time.Hour} {
		h.Observe(d)
	}
	s := h.Snapshot()
	if s.Count != 6 || s.Sum < 3620 || s.Sum > 3620.1 {
		t.Errorf("count %d, sum %v", s.Count, s.Sum)
	}
	for bound, want := range map[float64]uint64{0.0005: 2, 0.001: 3, 0.0025: 4, 10: 4, 30: 5} {
		if s.Buckets[bound] != want {
			t.Errorf("at most %v: %d, want %d", bound, s.Buckets[bound], want)
		}
	}
}

func TestConcurrent(t *testing.T) {
	var h histogram.Durations
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				h.Observe(time.Millisecond)
			}
		})
	}
	all.Wait()
	if s := h.Snapshot(); s.Count != 8000 || s.Buckets[0.001] != 8000 {
		t.Errorf("%+v", s)
	}
}
