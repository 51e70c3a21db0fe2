package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// crowded is how close to each other two collections show that the collector
	// is at work all the time: the live heap of a broker is so small that
	// gcPercent of it is used up after a few dozen HTTP requests, and while a
	// collection runs each of them takes milliseconds longer.
	crowded = 250 * time.Millisecond
	// headroom is what may then be allocated between two collections.
	headroom = 24 << 20
	// calmBytes, allocated between two looks at most, are calm.
	calmBytes = 32 << 20
	// minLive is what the runtime takes a smaller live heap for.
	minLive = 4 << 20
)

// pacer lets the collector pause longer while much is allocated, at the price
// of headroom, and takes that back when calm returns.
type pacer struct {
	mu        sync.Mutex
	percent   int       // as it is set; 0 leaves the collector alone
	cycles    uint64    // collections that the runtime has begun by itself
	last      time.Time // of the last of them
	allocated uint64    // in all, at the last look
}

// follow has every collection noticed as soon as it is over, until stop.
func (p *pacer) follow() {
	// It has a pointer: the runtime may keep tiny objects without one together,
	// and alive.
	type sentinel struct{ _ *byte }
	runtime.AddCleanup(new(sentinel), func(p *pacer) {
		live := readMetric("/gc/heap/live:bytes") + readMetric("/gc/scan/stack:bytes") + readMetric("/gc/scan/globals:bytes")
		if p.collected(time.Now(), readMetric("/gc/cycles/automatic:gc-cycles"), live) {
			p.follow()
		}
	}, p)
}

// collected notes that a collection has ended, and says whether to go on. One
// that was asked for, to give memory back, does not raise cycles and says
// nothing about what is allocated. live is what the percentage is of: the heap
// that is in use, and the stacks and globals that point into it. It grows with
// the connections, and a percentage that was right for a few would be ten times
// the headroom with thousands.
func (p *pacer) collected(now time.Time, cycles, live uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.percent == 0 {
		return false
	}
	if cycles == p.cycles {
		return true
	}
	p.cycles = cycles
	busy := p.percent != gcPercent || now.Sub(p.last) < crowded
	if busy && !near(p.percent, raised(live)) {
		p.set(raised(live))
	}
	p.last = now
	return true
}

// look is called every trimEvery.
func (p *pacer) look(allocated uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	calm := allocated-p.allocated < calmBytes
	p.allocated = allocated
	if p.percent == 0 || p.percent == gcPercent || !calm {
		return
	}
	p.set(gcPercent)
	runtime.GC()
	debug.FreeOSMemory()
}

// stop leaves the collector as it is.
func (p *pacer) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.percent = 0
}

func (p *pacer) set(percent int) {
	if percent != p.percent {
		debug.SetGCPercent(percent)
		p.percent = percent
	}
}

// near tells a percentage that is not worth stopping the world to change.
func near(now, then int) bool { return now <= then*5/4 && now >= then*3/4 }

// raised is the percentage that leaves headroom above what is live.
func raised(live uint64) int {
	return max(int(100*headroom/max(live, minLive)), gcPercent)
}

func readMetric(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
