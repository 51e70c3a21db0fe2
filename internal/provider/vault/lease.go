package vault

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"secretless/internal/provider"
	"secretless/internal/secret"
)

const (
	// maxEnded bounds the replaced leases of one path: what a target rejects
	// again and again must not fill it with accounts.
	maxEnded = 8

	// Vault is asked about doubted leases so many times in a row, and then once
	// a checkEvery: clients that ask a database for what they may not have must
	// not become requests to Vault.
	maxChecks  = 32
	checkEvery = time.Second
	// looks and lookAgain are how often and after what pause to look: Vault
	// removes the account first, and what it knows of the lease last.
	looks     = 5
	lookAgain = 100 * time.Millisecond
)

// state says what a lease is still good for.
type state int

const (
	fresh state = iota
	// ending: new connections want another, and use this one only while that
	// cannot be had.
	ending
	// doubted: a target denies it something; is it still?
	doubted
	// rejected: a target does not take it.
	rejected
	// gone: Vault has revoked it.
	gone
)

// lease is a secret that Vault made for us, and ends when its life does. All
// connections that need the path share it.
type lease struct {
	key    string
	number string       // names it to the Resolver, which need not know its id
	id     string       // empty for a certificate, which has no lease
	data   secret.Value // JSON
	token  uint64       // number of the token it ends with
	first  time.Duration
	ended  context.CancelFunc // ends its renewals
	living context.Context

	// Guarded by the table's mutex.
	life  lifetime
	renew bool
	state state
}

// leases is the table of what Vault has leased to us, by path. Each lease is
// renewed by a goroutine of its own, so that none waits for another.
type leases struct {
	log  *slog.Logger
	call func(ctx context.Context, path string, fields map[string]any) (*envelope, error)

	life     context.Context
	stop     context.CancelFunc
	renewals sync.WaitGroup

	mu      sync.Mutex
	current map[string]*lease
	ended   map[string][]*lease
	count   uint64
	checks  int // in a row
	checked time.Time
}

func newLeases(log *slog.Logger, call func(context.Context, string, map[string]any) (*envelope, error)) *leases {
	t := &leases{log: log, call: call, current: map[string]*lease{}, ended: map[string][]*lease{}}
	t.life, t.stop = context.WithCancel(context.Background())
	return t
}

// serve returns the path's secret if there is one that new connections may
// use.
func (t *leases) serve(key string) (answer document, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.current[key]
	if l == nil || l.state != fresh || !time.Now().Before(l.life.soon()) {
		return document{}, false
	}
	return l.document(), true
}

// bridge is serve for the time in which Vault cannot be asked: anything will
// do that works until its end.
func (t *leases) bridge(key string) (answer document, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.current[key]
	if l == nil || l.state > ending || l.life.over(time.Now()) {
		return document{}, false
	}
	return l.document(), true
}

func (l *lease) document() document {
	return document{data: l.data.Clone(), expires: l.life.end(), lease: l.number}
}

// keep takes a new lease into the table, in place of the path's older one, and
// returns its number.
func (t *leases) keep(key string, e *envelope, life lifetime, token uint64) string {
	l := &lease{
		key: key, id: e.LeaseID, data: secret.Copy([]byte(e.Data)), token: token, first: life.length,
		life: life, renew: e.Renew && e.LeaseID != "",
	}
	l.living, l.ended = context.WithCancel(t.life)
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.current[key]; old != nil {
		t.retire(old)
	}
	t.current[key] = l
	t.count++
	l.number = strconv.FormatUint(t.count, 10)
	if l.renew && t.life.Err() == nil {
		provider.Go(&t.renewals, t.log, "renew a lease", func() { t.tend(l) }, func(error) { t.worsen(l.number, ending) })
	}
	return l.number
}

// retire puts a lease aside. It is not revoked, since connections are open
// that use it; it runs out by itself, or is revoked at the end. The mutex is
// held.
func (t *leases) retire(l *lease) {
	l.ended()
	l.data.Wipe()
	now := time.Now()
	kept := t.ended[l.key][:0]
	for _, e := range append(t.ended[l.key], l) {
		if e.id != "" && e.state != gone && !e.life.over(now) {
			kept = append(kept, e)
		}
	}
	if len(kept) > maxEnded {
		oldest := kept[0]
		kept = kept[1:]
		if t.life.Err() == nil {
			provider.Go(&t.renewals, t.log, "revoke a lease", func() {
				ctx, cancel := context.WithTimeout(t.life, tendTimeout)
				defer cancel()
				t.revoke(ctx, oldest)
			}, nil)
		}
	}
	t.ended[l.key] = kept
}

// tend renews l until it cannot be, or is replaced.
func (t *leases) tend(l *lease) {
	wait := func(until time.Time) bool {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		select {
		case <-l.living.Done():
			return false
		case <-timer.C:
			return true
		}
	}
	t.mu.Lock()
	next := l.life.renewAt()
	t.mu.Unlock()
	for wait(next) {
		ctx, cancel := context.WithTimeout(l.living, tendTimeout)
		err := t.extend(ctx, l)
		cancel()
		if l.living.Err() != nil {
			return
		}
		if next = t.renewed(l, err); next.IsZero() {
			return
		}
	}
}

func (t *leases) extend(ctx context.Context, l *lease) error {
	e, err := t.call(ctx, "sys/leases/renew", map[string]any{"lease_id": l.id, "increment": int64(l.first / time.Second)})
	if err != nil {
		return err
	}
	defer e.wipe()
	t.mu.Lock()
	defer t.mu.Unlock()
	l.life = newLifetime(max(e.Duration, 1), time.Now())
	l.renew = e.Renew
	return nil
}

// renewed draws the consequences of a renewal, and says when the next is due;
// zero if none is.
func (t *leases) renewed(l *lease, err error) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	switch {
	case err == nil && l.renew && !l.life.capped(l.first):
		t.log.Debug("lease renewed", "path", l.key, "end", l.life.end())
		return l.life.renewAt()
	case err == nil:
		t.log.Info("lease reaches its longest time, new connections get another", "path", l.key, "end", l.life.end())
		l.worsen(ending)
	case hasStatus(err, http.StatusBadRequest):
		t.log.Warn("lease was revoked at Vault, new connections get another", "path", l.key)
		l.worsen(gone)
	case isTransient(err) && !l.life.over(now):
		t.log.Warn("cannot renew the lease yet", "path", l.key, "error", err, "end", l.life.end())
		return now.Add(max(min(l.life.end().Sub(now)/4, maxPause), firstPause))
	default:
		t.log.Warn("cannot renew the lease, new connections get another", "path", l.key, "error", err, "end", l.life.end())
		l.worsen(ending)
	}
	return time.Time{}
}

func (l *lease) worsen(to state) { l.state = max(l.state, to) }

// tokenOver is told that a token was replaced: its leases end with it.
func (t *leases) tokenOver(number uint64, dead bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.current {
		switch {
		case l.token != number:
		case dead && l.id != "":
			l.worsen(gone)
		case l.id != "":
			l.worsen(ending)
		}
	}
}

// reject is told that a target did not take the lease of that number.
func (t *leases) reject(number string) { t.worsen(number, rejected) }

// doubt is told that it may be no account any more.
func (t *leases) doubt(number string) { t.worsen(number, doubted) }

func (t *leases) worsen(number string, to state) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.current {
		if l.number == number {
			l.worsen(to)
		}
	}
}

// settle finds out about a doubted lease. Only where Vault says that there is
// none is it not used any more.
func (t *leases) settle(ctx context.Context, key string) {
	t.mu.Lock()
	l := t.current[key]
	if l == nil || l.state != doubted {
		t.mu.Unlock()
		return
	}
	ask := l.id != "" && t.mayCheck(time.Now())
	t.mu.Unlock()
	over := false
	for n := 0; ask && !over && n < looks && t.isDoubted(l) && (n == 0 || sleep(ctx, lookAgain)); n++ {
		over = t.isGone(ctx, l)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case over:
		l.worsen(gone)
		t.checks-- // it was worth it
	case l.state == doubted:
		l.state = fresh
	}
}

// mayCheck spends one check. The mutex is held.
func (t *leases) mayCheck(now time.Time) bool {
	t.checks = max(t.checks-int(now.Sub(t.checked)/checkEvery), 0)
	if t.checks >= maxChecks {
		return false
	}
	t.checks++
	t.checked = now
	return true
}

func (t *leases) isDoubted(l *lease) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return l.state == doubted
}

func (t *leases) isGone(ctx context.Context, l *lease) bool {
	e, err := t.call(ctx, "sys/leases/lookup", map[string]any{"lease_id": l.id})
	e.wipe()
	return hasStatus(err, http.StatusBadRequest)
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (t *leases) revoke(ctx context.Context, l *lease) error {
	e, err := t.call(ctx, "sys/leases/revoke", map[string]any{"lease_id": l.id})
	e.wipe()
	return err
}

// end ends what runs in the background.
func (t *leases) end() {
	t.stop()
	t.renewals.Wait()
}

// close forgets all leases, and revokes them unless that has been done with
// the token.
func (t *leases) close(ctx context.Context, revoked bool) {
	t.mu.Lock()
	var left []*lease
	for _, l := range t.current {
		l.ended()
		l.data.Wipe()
		left = append(left, l)
	}
	for _, old := range t.ended {
		left = append(left, old...)
	}
	t.current, t.ended = map[string]*lease{}, map[string][]*lease{}
	t.mu.Unlock()
	if revoked {
		return
	}
	t.revokeAll(ctx, left)
}

func (t *leases) revokeAll(ctx context.Context, left []*lease) {
	const atOnce = 4
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	now := time.Now()
	for _, l := range left {
		if l.id == "" || l.state == gone || l.life.over(now) {
			continue
		}
		provider.Go(&all, t.log, "revoke a lease", func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := t.revoke(ctx, l); err != nil {
				t.log.Warn("cannot revoke a lease, it runs out by itself", "path", l.key, "error", err, "end", l.life.end())
			}
		}, nil)
	}
	all.Wait()
}
