package vault

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"secretless/internal/provider"
	"secretless/internal/secret"
)

const (
	// tendTimeout bounds one request in the background.
	tendTimeout = 10 * time.Second
	// freshToken is how young a token must be for a refusal to be about its
	// policies: where it may not look at itself, nothing else tells.
	freshToken = 10 * time.Second

	firstPause = time.Second
	maxPause   = 30 * time.Second

	// maxRetired bounds the replaced tokens that are revoked at the end.
	maxRetired = 8
)

// session has the token: obtained when first needed, renewed and replaced in
// the background, obtained anew when it turns out to be over. Safe for
// concurrent use.
type session struct {
	client *client
	method method
	log    *slog.Logger
	// superseded is told the number of a token that another replaces. What was
	// leased with it ends with it; dead says that it has already.
	superseded func(number uint64, dead bool)

	life   context.Context
	stop   context.CancelFunc
	keeper sync.WaitGroup
	wake   chan struct{}
	turn   chan struct{} // held while a token is obtained

	mu      sync.Mutex // guards what follows
	keeping bool
	current *held // nil before the first
	count   uint64
	retired []*held
	pause   pause
}

// held is a token in use.
type held struct {
	token
	number uint64
	since  time.Time
	next   time.Time // when the keeper has something to do; zero: never
	first  time.Duration
	known  bool // its life is
}

// pass is a copy of the token for one request; the caller wipes it.
type pass struct {
	value  secret.Value
	number uint64
}

func newSession(c *client, m method, log *slog.Logger, superseded func(uint64, bool)) *session {
	s := &session{client: c, method: m, log: log, superseded: superseded, wake: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	s.life, s.stop = context.WithCancel(context.Background())
	return s
}

// get returns the token, after obtaining one if need be.
func (s *session) get(ctx context.Context) (pass, error) {
	if !s.method.given() {
		if p, ok := s.pass(); ok {
			return p, nil
		}
	}
	if err := s.take(ctx); err != nil {
		return pass{}, err
	}
	defer s.release()
	if !s.method.given() {
		if p, ok := s.pass(); ok { // somebody else's turn was before
			return p, nil
		}
	}
	return s.obtain(ctx)
}

func (s *session) pass() (pass, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil || s.current.life.over(time.Now()) {
		return pass{}, false
	}
	return pass{s.current.value.Clone(), s.current.number}, true
}

func (s *session) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &failure{text: "waiting for another login to end", cause: context.Cause(ctx), transient: true}
	}
}

func (s *session) release() { <-s.turn }

// obtain asks the method, unless it has refused a moment ago: identity checks
// that fail again and again lock accounts.
func (s *session) obtain(ctx context.Context) (pass, error) {
	s.mu.Lock()
	err := s.pause.err(time.Now())
	s.mu.Unlock()
	if err != nil {
		return pass{}, err
	}
	t, err := s.method.obtain(ctx, s.client)
	s.mu.Lock()
	if err != nil {
		if f, ok := errors.AsType[*failure](err); ok && !f.transient && f.status != 0 {
			s.pause.begin(err, time.Now())
		}
		s.mu.Unlock()
		return pass{}, err
	}
	s.pause = pause{}
	replaced := s.install(t)
	p := pass{s.current.value.Clone(), s.current.number}
	s.mu.Unlock()
	if replaced != 0 {
		s.superseded(replaced, false)
	}
	return p, nil
}

// install makes t the current token and returns the number of the one that it
// replaces, zero if there is none or it is the same. The mutex is held.
func (s *session) install(t token) (replaced uint64) {
	old := s.current
	if old != nil && s.method.given() && old.value.Equal(t.value) {
		t.value.Wipe()
		return 0
	}
	now := time.Now()
	s.count++
	h := &held{token: t, number: s.count, since: now, first: t.life.length, known: !s.method.given()}
	switch s.method.(type) {
	case byAgent, sink: // the agent's business
		h.known = true
	default:
		h.plan(now)
	}
	s.current = h
	s.startKeeper()
	if old == nil {
		return 0
	}
	s.retire(old)
	return old.number
}

// plan sets when the keeper looks at h again.
func (h *held) plan(now time.Time) {
	switch {
	case !h.known:
		h.next = now
	case h.life.endless():
		h.next = time.Time{}
	default:
		h.next = h.life.renewAt()
	}
}

// retire keeps a replaced token of our own, to revoke it at the end: until
// then, connections use what was leased with it.
func (s *session) retire(h *held) {
	if s.method.given() {
		h.value.Wipe()
		return
	}
	s.retired = append(s.retired, h)
	if len(s.retired) > maxRetired {
		s.retired[0].value.Wipe()
		s.retired = s.retired[1:]
	}
}

// replace returns another token after p was refused with err, if p is over and
// there is another to be had; otherwise the reason.
func (s *session) replace(ctx context.Context, p pass, err error) (pass, error) {
	if p.value.Len() == 0 {
		return pass{}, err
	}
	if err := s.take(ctx); err != nil {
		return pass{}, err
	}
	defer s.release()
	s.mu.Lock()
	current, since := s.current.number, s.current.since
	s.mu.Unlock()
	if current != p.number {
		p, _ := s.pass()
		return p, nil
	}
	dead := false
	if f, ok := errors.AsType[*failure](err); ok {
		dead = f.deadToken
	}
	if !dead && (!s.method.given() && time.Since(since) < freshToken || s.alive(ctx, p.value)) {
		return pass{}, err
	}
	s.method.forget()
	fresh, failed := s.obtain(ctx)
	switch {
	case failed != nil:
		return pass{}, failed
	case fresh.number == p.number: // the same once more
		fresh.value.Wipe()
		return pass{}, err
	}
	s.log.Info("token was over, another is in use")
	if dead {
		s.superseded(p.number, true)
	}
	return fresh, nil
}

// alive asks whether a token is good for anything. One that may not look at
// itself is taken for dead.
func (s *session) alive(ctx context.Context, token secret.Value) bool {
	e, err := s.client.read(ctx, token, "auth/token/lookup-self", nil)
	e.wipe()
	return !isDenied(err)
}

// close ends the keeper and revokes the tokens that were ours, and with them
// all leases. It reports whether there were any.
func (s *session) close(ctx context.Context) (revoked bool) {
	s.stop()
	s.keeper.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	tokens := s.retired
	if s.current != nil {
		tokens = append(tokens, s.current)
	}
	s.retired, s.current = nil, nil
	var all sync.WaitGroup
	for _, h := range tokens {
		if s.method.given() || h.life.over(time.Now()) {
			continue
		}
		revoked = true
		provider.Go(&all, s.log, "revoke the token", func() {
			e, err := s.client.write(ctx, h.value, "auth/token/revoke-self", nil)
			e.wipe()
			if err != nil && !isDenied(err) {
				s.log.Warn("cannot revoke the token; it ends by itself", "error", err, "end", h.life.end())
			}
		}, nil)
	}
	all.Wait()
	for _, h := range tokens {
		h.value.Wipe()
	}
	return revoked
}

// pause is the time after a refused login in which no other is tried.
type pause struct {
	last   error
	length time.Duration
	until  time.Time
}

func (p *pause) begin(err error, now time.Time) {
	p.last, p.length = err, min(max(2*p.length, firstPause), maxPause)
	p.until = now.Add(p.length)
}

func (p *pause) err(now time.Time) error {
	if now.Before(p.until) {
		return p.last
	}
	return nil
}
