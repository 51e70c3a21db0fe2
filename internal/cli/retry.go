package cli

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"secretless/internal/broker"
	"secretless/internal/config"
	"secretless/internal/resource"
)

// Pauses before a configuration is tried again; they double.
const (
	firstRetry   = 5 * time.Second
	longestRetry = 5 * time.Minute
)

// lastingError is one that trying again does not mend.
type lastingError struct{ error }

// Unwrap returns what lasts.
func (e lastingError) Unwrap() error { return e.error }

// passing says whether the same configuration may work later: an address may
// become free, a provider answer, a disk have room. A mistake in it stays one.
func passing(err error) bool {
	_, mistakes := errors.AsType[config.Errors](err)
	_, lasting := errors.AsType[lastingError](err)
	return err != nil && !mistakes && !lasting && !errors.Is(err, resource.ErrNone) && !errors.Is(err, errConfined)
}

// backoff are the pauses between tries.
type backoff struct{ last time.Duration }

// next is about twice as long as the one before.
func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, firstRetry), longestRetry)
	return b.last*3/4 + rand.N(b.last/2)
}

// retries has a configuration that is followed tried again where it could not be
// put into effect for a reason that may pass: nobody changes it a second time
// for that. A nil one does nothing. Safe for concurrent use.
type retries struct {
	due chan struct{} // of one place; take says whether it still holds

	mu     sync.Mutex
	pauses backoff
	timer  *time.Timer // nil: nothing is to be tried
	closed bool
}

func newRetries() *retries { return &retries{due: make(chan struct{}, 1)} }

// C tells that it is time.
func (r *retries) C() <-chan struct{} {
	if r == nil {
		return nil
	}
	return r.due
}

// ended hears how a reload has ended, which makes one that was to come needless.
func (r *retries) ended(by string, err error) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancel()
	if by != byRetry {
		r.pauses = backoff{}
	}
	if passing(err) && !r.closed {
		r.arm()
	}
}

// take ends the wait. It is false where a reload has come before it.
func (r *retries) take() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	waited := r.timer != nil
	r.cancel()
	return waited
}

// later puts it off.
func (r *retries) later() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer == nil && !r.closed {
		r.arm()
	}
}

func (r *retries) arm() {
	r.timer = time.AfterFunc(r.pauses.next(), func() {
		select {
		case r.due <- struct{}{}:
		default:
		}
	})
}

func (r *retries) cancel() {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}

// close ends it.
func (r *retries) close() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancel()
	r.closed = true
}

// retry is a reload that is due since the last one failed. Not while something
// is drained, which it would undo: that takes a word of whoever drained it.
func (p *process) retry() (worth bool) {
	if !p.retries.take() {
		return false
	}
	if slices.ContainsFunc(p.broker.Live(), func(s broker.ServiceStatus) bool { return s.Drained }) {
		p.retries.later()
		return false
	}
	return true
}
