package relay

import (
	"io"
	"runtime"
	"testing"
	"time"
)

// A look at running pairs tells their bytes, how long they have been silent and
// where their targets are, whatever carries them.
func TestLook(t *testing.T) {
	eachEngine(t, func(t *testing.T, r Relay) {
		kinds := []struct {
			client, target string
			idle           time.Duration
		}{{"tcp", "tcp", 0}, {"unix", "tcp", 0}, {"tls", "tcp", 0}, {"unix", "unix", 0}, {"unix", "unix", time.Hour}}
		var pairs []*relayed
		var handles []Handle
		for _, k := range kinds {
			c := join(t, r, k.client, k.target, func(p *Pair) {
				p.FromClient, p.IdleTimeout = []byte("ahead"), k.idle
			})
			expect(t, c.target, "ahead")
			write(t, c.client, "to target")
			expect(t, c.target, "to target")
			write(t, c.target, "back")
			expect(t, c.client, "back")
			pairs, handles = append(pairs, c), append(handles, c.handle)
		}
		soon(t, "all bytes are counted", func() bool {
			for _, p := range r.Look(handles, false) {
				if p.ToTarget != 14 || p.ToClient != 4 || p.Target != "" {
					return false
				}
			}
			return true
		})
		for n, p := range r.Look(handles, true) {
			k := kinds[n]
			if want := pairs[n].target.LocalAddr().String(); k.target == "tcp" && p.Target != want {
				t.Errorf("%v: target %q, want %q", k, p.Target, want)
			}
			known := k.idle > 0 || runtime.GOOS == "linux" && (k.client != "unix" || k.target != "unix")
			if known != (p.Idle >= 0) || p.Idle > patience {
				t.Errorf("%v: idle for %v", k, p.Idle)
			}
		}
		for _, c := range pairs {
			c.client.Close()
			_, _ = io.Copy(io.Discard, c.target)
			c.target.Close()
			c.end(t)
		}
		if got := r.Look(handles, true); len(got) != len(handles) {
			t.Errorf("%d answers about pairs that have ended", len(got))
		}
	})
}

// Looks neither hang nor crash while pairs come and go, nor after Close.
func TestLookDuringTheEnd(t *testing.T) {
	eachEngine(t, func(t *testing.T, r Relay) {
		var handles []Handle
		for range 8 {
			c := join(t, r, "tcp", "tcp", nil)
			handles = append(handles, c.handle)
			looked := make(chan struct{})
			go func() {
				defer close(looked)
				for range 50 {
					r.Look(handles, true)
				}
			}()
			c.client.Close()
			c.target.Close()
			<-looked
			c.end(t)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		r.Look(handles, true)
		r.Look([]Handle{ended{}}, true)
	})
}
