package provider

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"secretless/internal/secret"
)

const (
	// breakAfter rejections in a row suspend a secret: fewer than the limits
	// at which servers commonly lock accounts, counted over all clients.
	breakAfter = 5

	firstSuspension = time.Second
	maxSuspension   = time.Minute
	// trialLimit is how long a trial may go without a verdict, its
	// connection's context still alive, before the next one is let through.
	trialLimit = 15 * time.Second
	// refreshEvery bounds how often a suspended service looks past the cache
	// for a corrected secret.
	refreshEvery = time.Second
)

// SuspendedError is what Get returns instead of a secret that the target keeps
// rejecting.
type SuspendedError struct {
	Service    string
	Rejections int           // in a row
	Since      time.Time     // when the first of them came
	RetryIn    time.Duration // until it is tried again
}

// Error says what happened, since when, how long and what to do.
func (e *SuspendedError) Error() string {
	return fmt.Sprintf("credentials of service %s are suspended: the target rejected them %d times in a row since %s; "+
		"next try in %v; correct the secret at its provider (a changed one is tried at once) or the account at the target",
		e.Service, e.Rejections, e.Since.Format(time.RFC3339), e.RetryIn.Round(100*time.Millisecond))
}

// breaker keeps a wrong secret from locking the account at the target. It
// counts rejections in a row of one secret, known by a keyed digest, and lets
// a suspended secret pass once each back-off.
//
// Every change of mind starts an epoch. Sets remember the epoch in which they
// were let through, so that the late verdicts of a burst neither lengthen a
// suspension that they did not try nor bring back a state that is over.
type breaker struct {
	service string
	log     *slog.Logger
	key     [sha256.Size]byte

	mu       sync.Mutex
	epoch    uint64
	digest   [sha256.Size]byte // of the rejected secret
	exact    [sha256.Size]byte // of the same, with what its source made
	count    int               // rejections in a row; zero: all is well
	since    time.Time
	backoff  time.Duration // zero: not suspended
	until    time.Time
	refreshd time.Time
}

func newBreaker(service string, log *slog.Logger) *breaker {
	b := &breaker{service: service, log: log}
	_, _ = rand.Read(b.key[:]) // never fails
	return b
}

// admit lets set pass or says why not. Of a suspended secret one set passes
// when its time has come; its verdict, or the end of ctx without one, decides
// when the next does.
func (b *breaker) admit(ctx context.Context, set *secret.Set, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	from := set.Origin.(*origin)
	from.epoch = b.epoch
	if b.backoff == 0 || b.sum(set, false) != b.digest {
		return nil
	}
	if now.Before(b.until) {
		return &SuspendedError{b.service, b.count, b.since, b.until.Sub(now)}
	}
	b.epoch++
	from.epoch = b.epoch
	b.until = now.Add(max(b.backoff, trialLimit))
	context.AfterFunc(ctx, func() { b.undecided(from.epoch) })
	return nil
}

// undecided ends a trial whose connection ended without a verdict.
func (b *breaker) undecided(epoch uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.epoch == epoch && b.backoff > 0 {
		b.epoch++
		b.until = time.Now().Add(b.backoff)
	}
}

// rejected counts a verdict and says whether it is the first about this secret.
func (b *breaker) rejected(set *secret.Set, now time.Time) (first bool) {
	from, ok := set.Origin.(*origin)
	if !ok {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	digest, exact := b.sum(set, false), b.sum(set, true)
	trial := b.backoff > 0 && from.epoch == b.epoch
	if digest != exact && b.count > 0 && exact == b.exact && !trial {
		return false // one lease, and another of those who had it
	}
	b.exact = exact
	switch {
	case b.count == 0 || digest != b.digest:
		if from.epoch == b.epoch {
			b.epoch++
			b.digest, b.count, b.since, b.backoff = digest, 1, now, 0
			return true
		}
	case b.backoff == 0:
		if b.count++; b.count >= breakAfter {
			b.suspend(firstSuspension, now)
		}
	case from.epoch == b.epoch:
		b.count++
		b.suspend(min(2*b.backoff, maxSuspension), now)
	}
	return false
}

func (b *breaker) suspend(d time.Duration, now time.Time) {
	b.epoch++
	b.backoff, b.until = d, now.Add(d)
	b.log.Warn("target keeps rejecting the credentials, suspended",
		"rejections", b.count, "since", b.since, "next_try", d.String())
}

func (b *breaker) accepted() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count == 0 {
		return
	}
	if b.backoff > 0 {
		b.log.Info("target accepts the credentials again")
	}
	b.epoch++
	b.count, b.backoff = 0, 0
	clear(b.digest[:])
	clear(b.exact[:])
}

// mayRefresh is true once each refreshEvery.
func (b *breaker) mayRefresh(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.refreshd) < refreshEvery {
		return false
	}
	b.refreshd = now
	return true
}

// sum is the keyed digest of set's names and values. The key never leaves the
// process, so that the digest is of no use to guess a secret. What the source
// makes anew for each lookup counts as the same unless exact: a target that
// refuses one after the other is to be left in peace, and so is the source.
func (b *breaker) sum(set *secret.Set, exact bool) (digest [sha256.Size]byte) {
	h := hmac.New(sha256.New, b.key[:])
	var n [8]byte
	write := func(p []byte) {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	for _, name := range set.Names() {
		v, _ := set.Get(name)
		write([]byte(name))
		if exact || !set.Origin.(*origin).made(name) {
			write(v.Bytes())
		}
	}
	h.Sum(digest[:0])
	return digest
}
