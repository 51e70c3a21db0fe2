package admin

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"secretless/internal/audit"
	"secretless/internal/audit/audittest"
	"secretless/internal/peer"
)

// recorder keeps events.
type recorder struct {
	audit.Nop
	mu     sync.Mutex
	events []audit.Event
}

func (r *recorder) Record(e audit.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// take returns what has come, as uid and detail, in the order of the uids.
func (r *recorder) take(t *testing.T) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	audittest.Events(t, r.events)
	var list []string
	for _, e := range r.events {
		who := "unknown"
		if e.Peer.Known {
			who = fmt.Sprint(e.Peer.UID)
		}
		list = append(list, who+" "+e.Detail)
	}
	r.events = nil
	slices.Sort(list)
	return list
}

// Who tries again and again leaves few events, nobody is hidden by him, and none
// is left out of the count.
func TestRefusalsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &recorder{}
		r := refusals{audit: sink}
		try := func(uid uint32, times int) {
			for range times {
				r.record(peer.Identity{Known: true, UID: uid, PID: 4711})
			}
		}
		want := func(want ...string) {
			t.Helper()
			if got := sink.take(t); !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		}
		try(1000, 5000)
		try(1001, 1)
		want("1000 ", "1000 ", "1000 ", "1000 ", "1000 ", "1001 ")
		time.Sleep(recordWindow)
		synctest.Wait()
		want("1000 4995 more within 1m0s")
		time.Sleep(10 * recordWindow)
		try(1000, 1) // begins anew
		want("1000 ")

		for uid := range uint32(500) { // users that one made up
			try(2000+uid, 1)
		}
		if got := sink.take(t); len(got) != maxRefused-1+recordEach {
			t.Errorf("%d events", len(got))
		}
		time.Sleep(recordWindow)
		synctest.Wait()
		want(fmt.Sprintf("unknown %d more within 1m0s", 500-(maxRefused-1)-recordEach))

		try(1000, 7)
		r.close()
		want("1000 ", "1000 ", "1000 ", "1000 ", "1000 ", "1000 2 more within 1m0s")
	})
}
