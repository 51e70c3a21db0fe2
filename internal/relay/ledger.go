package relay

import "sync"

// ledger counts the pairs of a relay from Start until their Done has returned,
// and calls Done away from the loops: an owner that takes its time over one
// ending must not stall the bytes of other pairs.
type ledger struct {
	mu      sync.Mutex
	quiet   sync.Cond // signalled when pairs or busy may have fallen to zero
	pairs   int
	closed  bool
	busy    bool // a goroutine is working through endings
	endings []ending
}

type ending struct {
	owner  Owner
	result Result
}

func newLedger() *ledger {
	l := &ledger{}
	l.quiet.L = &l.mu
	return l
}

// open counts a pair, which must be settled; it reports whether the relay
// still takes pairs. One that is refused is counted too: it has a Done that
// Close waits for.
func (l *ledger) open() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pairs++
	return !l.closed
}

// settle has owner told and uncounts its pair. It does not block.
func (l *ledger) settle(owner Owner, r Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endings = append(l.endings, ending{owner, r})
	if !l.busy {
		l.busy = true
		go l.work()
	}
}

// work calls the Done of what has ended until nothing is left, in order. wait
// waits for it.
func (l *ledger) work() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.endings) > 0 {
		batch := l.endings
		l.endings = nil
		l.mu.Unlock()
		for _, e := range batch {
			if e.owner != nil {
				e.owner.Done(e.result)
			}
		}
		l.mu.Lock()
		l.pairs -= len(batch)
	}
	l.busy = false
	l.quiet.Broadcast()
}

func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// wait returns when every Done has returned.
func (l *ledger) wait() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.pairs > 0 || l.busy {
		l.quiet.Wait()
	}
}
