package httpproxy

import (
	"context"
	"sync"
	"time"
)

// patience is a context that ends at a time, whose timer is made when somebody
// first waits for it: most credentials are in memory, and a timer for each
// request costs more than looking there.
type patience struct {
	context.Context
	until time.Time

	mu     sync.Mutex // guards what follows
	timed  context.Context
	cancel context.CancelFunc
}

// Deadline is the earlier one.
func (b *patience) Deadline() (time.Time, bool) {
	if d, ok := b.Context.Deadline(); ok && d.Before(b.until) {
		return d, true
	}
	return b.until, true
}

// Done makes the timer.
func (b *patience) Done() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timed == nil {
		b.timed, b.cancel = context.WithDeadline(b.Context, b.until)
	}
	return b.timed.Done()
}

func (b *patience) made() context.Context {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.timed
}

// Err is why the context has ended.
func (b *patience) Err() error {
	if timed := b.made(); timed != nil {
		return timed.Err()
	}
	if err := b.Context.Err(); err != nil {
		return err
	}
	if !time.Now().Before(b.until) {
		return context.DeadlineExceeded
	}
	return nil
}

// Value is the parent's, or the timed context's, so that package context
// recognises it as one of its own.
func (b *patience) Value(key any) any {
	if timed := b.made(); timed != nil {
		return timed.Value(key)
	}
	return b.Context.Value(key)
}

// stop ends the context and its timer.
func (b *patience) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cancel != nil {
		b.cancel()
	}
}
