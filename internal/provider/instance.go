package provider

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// DefaultTimeout bounds a lookup where the instance does not say.
const DefaultTimeout = 5 * time.Second

// closeGrace is how long Close waits for lookups that were told to end.
const closeGrace = 5 * time.Second

// closerLimit is how long Close waits for the provider's own, which may have
// to revoke things at its source and bounds that itself.
const closerLimit = 10 * time.Second

// SecretRefs is implemented by providers whose ids are secrets themselves
// (literal): the Resolver then leaves them out of errors.
type SecretRefs interface{ SecretRefs() }

// Immediate is implemented by providers whose Fetch only looks into memory and
// cannot block: it is called in place, since starting and waking a goroutine
// costs a login more than such a lookup does.
type Immediate interface{ Immediate() }

// InstanceOptions says what one configured provider is and its rules.
type InstanceOptions struct {
	// Name is what errors and logs call it.
	Name     string
	Provider Provider
	// Cache is how long values live; zero means that every Get asks.
	Cache time.Duration
	// Timeout bounds one lookup, retries included; zero is DefaultTimeout.
	Timeout time.Duration
	// StaleIfError is how much longer an expired entry serves while lookups
	// fail with transient errors, though never past its lease's own expiry.
	StaleIfError time.Duration
	// Settings are the secrets that configure the provider: it holds them, and
	// with them the instances they come from, until it is closed itself.
	Settings []SecretSetting
	// Log may be nil.
	Log *slog.Logger
}

// Instance is one configured provider: its cache, its lookups in flight and
// its deadline. Services share it. Safe for concurrent use.
type Instance struct {
	name     string
	provider Provider
	ttl      time.Duration
	timeout  time.Duration
	grace    time.Duration // StaleIfError
	settings []SecretSetting
	log      *slog.Logger
	keeper   LeaseKeeper // the provider, if it is one
	checker  LeaseChecker
	hideRefs bool

	immediate bool

	life    context.Context
	end     context.CancelCauseFunc
	lookups sync.WaitGroup
	release func()

	mu      sync.Mutex // guards what follows
	users   int        // the creator and every Credentials
	closed  bool
	cache   map[string]*entry
	flights map[string]*flight
	outages map[string]*outage
	stuck   int         // lookups past their deadline that have not returned
	sweeper *time.Timer // set while the cache has entries
	latest  latest

	counts
}

// NewInstance takes ownership of the provider. The caller holds the instance
// until it calls Close, as does each Credentials that refers to it.
func NewInstance(o InstanceOptions) *Instance {
	i := &Instance{
		name:     o.Name,
		provider: o.Provider,
		ttl:      max(o.Cache, 0),
		timeout:  o.Timeout,
		grace:    max(o.StaleIfError, 0),
		settings: o.Settings,
		log:      logOrDiscard(o.Log).With("provider", o.Name),
		users:    1,
		cache:    map[string]*entry{},
		flights:  map[string]*flight{},
		outages:  map[string]*outage{},
	}
	if i.timeout <= 0 {
		i.timeout = DefaultTimeout
	}
	i.keeper, _ = o.Provider.(LeaseKeeper)
	i.checker, _ = o.Provider.(LeaseChecker)
	_, i.hideRefs = o.Provider.(SecretRefs)
	_, i.immediate = o.Provider.(Immediate)
	i.life, i.end = context.WithCancelCause(context.Background())
	i.release = sync.OnceFunc(i.drop)
	return i
}

// Name is the instance's name.
func (i *Instance) Name() string { return i.name }

// Shown is ref as errors and the audit may show it: nothing where ids are
// secrets themselves.
func (i *Instance) Shown(ref string) string {
	if i.hideRefs {
		return ""
	}
	return ref
}

// Tends tells whether the provider has work until it is closed, such as renewing
// what it has handed out.
func (i *Instance) Tends() bool {
	_, ok := i.provider.(Closer)
	return ok
}

// Close gives up the creator's hold; more calls do nothing. When the last
// Credentials that uses the instance has been closed too, and only then, its
// lookups are ended, its cache is wiped and the provider is closed: a service
// that is carried over a reload keeps the instance it was built with.
func (i *Instance) Close() { i.release() }

func (i *Instance) hold() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.users++
}

func (i *Instance) drop() {
	i.mu.Lock()
	i.users--
	last := i.users == 0 && !i.closed
	i.mu.Unlock()
	if last {
		i.shutdown()
	}
}

func (i *Instance) shutdown() {
	i.end(errClosed)
	i.mu.Lock()
	i.closed = true
	i.clearCache()
	i.mu.Unlock()
	i.waitLookups()
	i.closeProvider()
	for _, s := range i.settings {
		s.Close()
	}
}

// waitLookups waits a bounded time: a Fetch that ignores its context must not
// keep the broker from stopping.
func (i *Instance) waitLookups() {
	i.waitFor(&i.lookups, closeGrace, "provider does not end its lookups, left behind")
}

// closeProvider waits a bounded time, too.
func (i *Instance) closeProvider() {
	c, ok := i.provider.(Closer)
	if !ok {
		return
	}
	var closing sync.WaitGroup
	Go(&closing, i.log, "close", c.Close, nil)
	i.waitFor(&closing, closerLimit, "provider does not end its work, left behind")
}

// waitFor logs complaint if work takes longer than limit.
func (i *Instance) waitFor(work *sync.WaitGroup, limit time.Duration, complaint string) {
	ended := make(chan struct{})
	go func() {
		work.Wait()
		close(ended)
	}()
	grace := time.NewTimer(limit)
	defer grace.Stop()
	select {
	case <-ended:
	case <-grace.C:
		i.log.Warn(complaint, "waited", limit.String())
	}
}

func logOrDiscard(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
