package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// busyBytes, allocated between two looks, mean that the collector is at work
	// all the time: the live heap of a broker is so small that gcPercent of it
	// is used up after a few dozen HTTP requests.
	busyBytes = 32 << 20
	// headroom is what may then be allocated between two collections.
	headroom = 12 << 20
	// minLive is what the runtime takes a smaller live heap for.
	minLive = 4 << 20
)

// pacer lets the collector pause longer while much is allocated, at the price
// of headroom, and takes that back when calm returns.
type pacer struct {
	allocated uint64 // in all, at the last look
	percent   int    // as it is set; 0 leaves the collector alone
}

// look is called every trimEvery.
func (p *pacer) look() {
	if p.percent == 0 {
		return
	}
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(samples)
	percent := p.next(samples[0].Value.Uint64(), samples[1].Value.Uint64())
	if percent == p.percent {
		return
	}
	debug.SetGCPercent(percent)
	if percent == gcPercent {
		runtime.GC()
		debug.FreeOSMemory()
	}
	p.percent = percent
}

// next is the percentage until the next look, in few different steps: setting
// it stops everything for a moment.
func (p *pacer) next(allocated, live uint64) int {
	busy := allocated-p.allocated >= busyBytes
	p.allocated = allocated
	if !busy {
		return gcPercent
	}
	const step = 50
	percent := int(100 * headroom / max(live, minLive))
	return max(percent/step*step, gcPercent)
}
