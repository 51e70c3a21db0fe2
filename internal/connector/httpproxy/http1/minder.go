package http1

import "time"

// minderTick is after how long at most a client that goes away while it waits
// is noticed; half of it at least.
const minderTick = 200 * time.Millisecond

// mind makes sure that somebody looks at requests that take long: whoever waits
// for the target does not see the client go. One goroutine does for all, and
// only while there are requests: a reader for each of them would cost as much
// as the request does.
func (s *Server) mind() {
	if s.minding.Load() || !s.minding.CompareAndSwap(false, true) {
		return
	}
	s.minders.Go(s.runMinder)
}

func (s *Server) runMinder() {
	tick := time.NewTicker(minderTick)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.unminded:
			return
		}
		if s.look() {
			continue
		}
		// A request that begins now either sees that nobody minds or is seen.
		s.minding.Store(false)
		if !s.look() || !s.minding.CompareAndSwap(false, true) {
			return
		}
	}
}

// look has the clients watched whose request has taken a whole tick, and says
// whether any request is being answered.
func (s *Server) look() (busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		turn := c.turn.Load()
		if turn%2 == 0 {
			continue
		}
		busy = true
		if c.lastTurn == turn {
			c.watch()
		}
		c.lastTurn = turn
	}
	return busy
}
