package cli

import (
	"testing"

	"secretless/internal/broker"
)

func TestMemoryIsGivenBackAfterABurst(t *testing.T) {
	var tr trimmer
	for i, look := range []struct {
		turnover uint64
		due      bool
	}{
		{0, false},
		{10, false},
		{10, false}, // no burst
		{100, false},
		{900, false}, // one that goes on
		{900, true},
		{900, false}, // and has ended, once
		{905, false},
		{905, false},
		{990, false},
		{990, true},
		{20, false},
		{20, false}, // a service is gone
		{90, false},
		{90, true},
	} {
		if due := tr.due(look.turnover); due != look.due {
			t.Errorf("look %d, %d came and went: %v, want %v", i, look.turnover, due, look.due)
		}
	}
}

// The end of many connections is a burst as their beginning is.
func TestMemoryIsGivenBackWhenConnectionsHaveGone(t *testing.T) {
	var tr trimmer
	held := func(accepted uint64, active int64) {
		tr.look([]broker.ServiceStatus{{Accepted: accepted, Active: active}})
	}
	held(500, 500)
	held(500, 500)
	begun := tr.trimmed
	held(500, 0)
	held(500, 0)
	if begun != 500 || tr.trimmed != 1000 {
		t.Errorf("given back at %d and at %d, want 500 and 1000", begun, tr.trimmed)
	}
}
