package vault

import (
	"context"
	"encoding/json"
	"time"

	"secretless/internal/provider"
	"secretless/internal/secret"
)

// startKeeper starts the goroutine that renews the token, or tells it that
// there is a new one. The mutex is held.
func (s *session) startKeeper() {
	if s.keeping {
		select {
		case s.wake <- struct{}{}:
		default:
		}
		return
	}
	if s.life.Err() != nil {
		return
	}
	s.keeping = true
	s.runKeeper()
}

// runKeeper starts it again after a panic: a token that nobody renews ends.
func (s *session) runKeeper() {
	provider.Go(&s.keeper, s.log, "keep the token", s.keep, func(error) {
		if s.waitFor(time.Now().Add(maxPause)) {
			s.runKeeper()
		}
	})
}

func (s *session) keep() {
	for {
		s.mu.Lock()
		next, number := s.current.next, s.current.number
		s.mu.Unlock()
		if !s.waitFor(next) {
			return
		}
		s.mu.Lock()
		due := s.current.number == number && !next.IsZero() && !time.Now().Before(next)
		s.mu.Unlock()
		if due {
			s.tend(number)
		}
	}
}

// waitFor returns at that time, never if it is zero, and earlier when there is
// a new token; false at the end.
func (s *session) waitFor(next time.Time) bool {
	var due <-chan time.Time
	if !next.IsZero() {
		t := time.NewTimer(time.Until(next))
		defer t.Stop()
		due = t.C
	}
	select {
	case <-s.life.Done():
		return false
	case <-s.wake:
	case <-due:
	}
	return true
}

// tend does what is due for a token: look how long it lives, renew it, or get
// another before it ends.
func (s *session) tend(number uint64) {
	ctx, cancel := context.WithTimeout(s.life, tendTimeout)
	defer cancel()
	s.mu.Lock()
	h := s.current
	if h.number != number {
		s.mu.Unlock()
		return
	}
	known, renew, value := h.known, h.renew, h.value.Clone()
	s.mu.Unlock()
	defer value.Wipe()
	var err error
	switch {
	case !known:
		err = s.learn(ctx, h, value)
	case renew:
		err = s.renew(ctx, h, value)
	case !s.method.given():
		err = s.again(ctx)
	default:
		s.log.Warn("token ends and cannot be renewed: give the broker another", "end", h.life.end())
		s.later(h, 0)
		return
	}
	if err == nil || s.life.Err() != nil {
		return
	}
	s.failed(ctx, h, err)
}

// learn asks for the life of a token that was given.
func (s *session) learn(ctx context.Context, h *held, value secret.Value) error {
	e, err := s.client.read(ctx, value, "auth/token/lookup-self", nil)
	if err != nil {
		return err
	}
	defer e.wipe()
	var self struct {
		TTL   int64 `json:"ttl"`
		Renew bool  `json:"renewable"`
	}
	if json.Unmarshal(e.Data, &self) != nil {
		return nil
	}
	s.update(h, newLifetime(self.TTL, time.Now()), self.Renew)
	return nil
}

func (s *session) renew(ctx context.Context, h *held, value secret.Value) error {
	e, err := s.client.write(ctx, value, "auth/token/renew-self", map[string]any{})
	if err != nil {
		return err
	}
	defer e.wipe()
	if e.Auth == nil {
		return &failure{text: "the answer to a renewal has no token"}
	}
	life := newLifetime(e.Auth.Duration, time.Now())
	s.log.Debug("token renewed", "end", life.end())
	capped := !life.endless() && life.capped(h.first)
	s.update(h, life, e.Auth.Renew && !capped)
	if capped && !s.method.given() {
		return s.again(ctx)
	}
	return nil
}

// again logs in once more while the old token still works.
func (s *session) again(ctx context.Context) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.release()
	p, err := s.obtain(ctx)
	if err != nil {
		return err
	}
	p.value.Wipe()
	s.log.Info("logged in again before the token's end")
	return nil
}

func (s *session) update(h *held, life lifetime, renew bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.life, h.renew, h.known = life, renew, true
	if h.first == 0 {
		h.first = life.length
	}
	h.plan(time.Now())
}

// failed plans another try, sooner than the end. A token that is over is not
// tended any more: the next lookup gets another.
func (s *session) failed(ctx context.Context, h *held, err error) {
	switch {
	case isDenied(err) && !h.known: // it may not look at itself
		s.later(h, 0)
	case !s.method.given() && (isDenied(err) || time.Until(h.life.end()) < h.first/2):
		if err := s.again(ctx); err != nil {
			s.log.Warn("cannot renew the token or log in again", "error", err)
			s.retry(h)
		}
	case isDenied(err):
		s.log.Warn("cannot renew the token", "error", err, "end", h.life.end())
		s.later(h, 0)
	default:
		s.postponed(h, err)
		s.retry(h)
	}
}

// postponed: a token whose life nobody has told yet has no end to be logged.
func (s *session) postponed(h *held, err error) {
	if !h.known {
		s.log.Warn("cannot ask how long the token is good yet", "error", err)
		return
	}
	s.log.Warn("cannot renew the token yet", "error", err, "end", h.life.end())
}

func (s *session) retry(h *held) {
	now := time.Now()
	if h.known && h.life.over(now) {
		s.later(h, 0)
		return
	}
	wait := maxPause
	if h.known {
		wait = max(min(h.life.end().Sub(now)/4, maxPause), firstPause)
	}
	s.later(h, wait)
}

// later sets when h is tended again; zero for never.
func (s *session) later(h *held, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.next = time.Time{}
	if wait > 0 {
		h.next = time.Now().Add(wait)
	}
}
