package conjur

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// session is one Conjur as one identity sees it, with the token it has got.
// Nothing runs in the background: a token is renewed by the lookup that finds
// it old, and by no more than one at a time.
type session struct {
	id     identity
	env    environment
	client *http.Client
	pod    podCertificate
	users  int // lookups, and one for the provider; its lock guards it

	turn     chan struct{} // holds a token while nobody logs in; guards what follows
	token    *token
	serial   uint64
	rejected atomic.Uint64 // serial of a token that a target did not accept
}

func newSession(c Config, env environment) (*session, error) {
	id, err := resolve(c, env)
	if err != nil {
		return nil, err
	}
	client, err := newClient(id, env, nil)
	if err != nil {
		return nil, err
	}
	s := &session{id: id, env: env, client: client, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s, nil
}

// close wipes the token. Lookups have ended.
func (s *session) close() {
	s.client.CloseIdleConnections()
	s.pod.close()
	s.setToken(nil)
}

func (s *session) setToken(t *token) {
	if s.token != nil {
		s.token.raw.Wipe()
	}
	s.token = t
}

// access brings a token that is good for a while; the caller wipes its copy.
// stale is the serial of one that Conjur has just refused.
func (s *session) access(ctx context.Context, stale uint64) (token, error) {
	select {
	case <-s.turn:
	case <-ctx.Done():
		return token{}, fmt.Errorf("waiting for Conjur (logging in): %w", ctx.Err())
	}
	defer func() { s.turn <- struct{}{} }()
	now := time.Now()
	refused := func() bool {
		return s.token != nil && (s.token.serial == stale || s.token.serial == s.rejected.Load())
	}
	if s.token != nil && !refused() && now.Before(s.token.renew) {
		return s.token.clone(), nil
	}
	fresh, err := s.authenticate(ctx)
	switch {
	case err == nil:
		s.serial++
		fresh.serial = s.serial
		s.setToken(fresh)
	case s.token == nil || refused() || s.token.foreign || !now.Before(s.token.ends) || ctx.Err() != nil:
		return token{}, err
	}
	// Where renewal fails, the token is good until its end.
	return s.token.clone(), nil
}

func (t *token) clone() token {
	c := *t
	c.raw = t.raw.Clone()
	return c
}

// authorization is the header that shows a token.
func (t token) authorization() string {
	return `Token token="` + base64Of(t.raw.Bytes()) + `"`
}

// who names the identity in errors.
func (s *session) who() string {
	if s.id.Login != "" {
		return s.id.Login
	}
	if s.id.JWTHostID != "" {
		return s.id.JWTHostID
	}
	return "this identity"
}

func join(refs []ref) string {
	ids := make([]string, len(refs))
	for i, r := range refs {
		ids[i] = r.full()
	}
	return strings.Join(ids, ", ")
}
