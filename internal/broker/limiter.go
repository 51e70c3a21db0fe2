package broker

import (
	"sync"
	"time"
)

// logWindow is the time in which a limiter lets burst lines through.
const logWindow = 10 * time.Second

// limiter keeps a flood out of the log.
type limiter struct {
	burst int

	mu     sync.Mutex
	start  time.Time
	passed int
	held   int
}

// allow reports whether a line may be written, and how many equal ones were
// held back since the last.
func (l *limiter) allow(now time.Time) (held int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.start) >= logWindow {
		l.start, l.passed = now, 0
	}
	if l.passed >= l.burst {
		l.held++
		return 0, false
	}
	l.passed++
	held, l.held = l.held, 0
	return held, true
}
