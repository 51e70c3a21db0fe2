package cli

import "testing"

func TestCollectorPausesLongerWhileMuchIsAllocated(t *testing.T) {
	p := &pacer{percent: gcPercent}
	for i, look := range []struct {
		allocated, live uint64
		percent         int
	}{
		{10 << 20, 2 << 20, gcPercent},
		{200 << 20, 2 << 20, 300}, // the runtime counts 4 MiB at least
		{400 << 20, 6 << 20, 200},
		{600 << 20, 500 << 20, gcPercent}, // headroom is less than the usual
		{800 << 20, 6 << 20, 200},
		{801 << 20, 6 << 20, gcPercent}, // calm
	} {
		if percent := p.next(look.allocated, look.live); percent != look.percent {
			t.Errorf("look %d: %d %%, want %d", i, percent, look.percent)
		}
	}
}
