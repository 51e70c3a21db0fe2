package cli

import (
	"runtime/debug"
	"testing"
	"time"
)

func TestCollectorPausesLongerWhileMuchIsAllocated(t *testing.T) {
	before := debug.SetGCPercent(gcPercent)
	defer debug.SetGCPercent(before)
	p := &pacer{percent: gcPercent}
	now := time.Now()
	steps := []struct {
		what    string
		do      func()
		percent int
	}{
		{"the first collection", func() { p.collected(now, 1, 2<<20) }, gcPercent},
		{"a second much later", func() { p.collected(now.Add(time.Second), 2, 2<<20) }, gcPercent},
		{"one that was asked for", func() { p.collected(now.Add(time.Second+crowded/4), 2, 2<<20) }, gcPercent},
		{"another at once", func() { p.collected(now.Add(time.Second+crowded/2), 3, 2<<20) }, 600},
		{"a look while busy", func() { p.look(200 << 20) }, 600},
		{"a collection of hardly more", func() { p.collected(now.Add(time.Second+crowded), 30, 4400<<10) }, 600},
		{"a collection that finds more in use", func() { p.collected(now.Add(time.Second+crowded), 31, 40<<20) }, 60},
		{"a collection that finds little in use again", func() { p.collected(now.Add(time.Second+2*crowded), 32, 2<<20) }, 600},
		{"a look when calm", func() { p.look(201 << 20) }, gcPercent},
		{"busy again, with a large heap", func() {
			p.collected(now.Add(3*time.Second), 40, 500<<20)
			p.collected(now.Add(3*time.Second+1), 50, 500<<20)
		}, gcPercent}, // headroom would be less than the usual
	}
	for _, step := range steps {
		step.do()
		if p.percent != step.percent {
			t.Errorf("%s: %d %%, want %d", step.what, p.percent, step.percent)
		}
	}
	p.stop()
	if p.collected(now, 9, 0) {
		t.Error("it goes on after its end")
	}
}

func TestCollectorIsLeftAloneWhereTheEnvironmentSays(t *testing.T) {
	p := &pacer{}
	if p.collected(time.Now(), 1, 0) {
		t.Error("collections are followed")
	}
	p.look(1 << 30)
	if p.percent != 0 {
		t.Errorf("set to %d %%", p.percent)
	}
}

// The runtime really tells of its collections.
func TestCollectionsAreNoticed(t *testing.T) {
	before := debug.SetGCPercent(gcPercent)
	defer debug.SetGCPercent(before)
	p := &pacer{percent: gcPercent}
	p.follow()
	defer p.stop()
	deadline := time.Now().Add(20 * time.Second)
	var garbage [][]byte
	for time.Now().Before(deadline) {
		garbage = append(garbage[:0], make([]byte, 1<<20))
		p.mu.Lock()
		percent := p.percent
		p.mu.Unlock()
		if percent > gcPercent {
			return
		}
	}
	t.Errorf("nothing was noticed; %d bytes", len(garbage))
}
