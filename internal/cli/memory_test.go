package cli

import "testing"

func TestMemoryIsGivenBackAfterABurst(t *testing.T) {
	var tr trimmer
	for i, look := range []struct {
		accepted uint64
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
		if due := tr.due(look.accepted); due != look.due {
			t.Errorf("look %d, %d accepted: %v, want %v", i, look.accepted, due, look.due)
		}
	}
}
