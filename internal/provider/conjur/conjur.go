// Package conjur is the provider that reads variables of CyberArk Conjur.
package conjur

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"secretless/internal/provider"
	"secretless/internal/secret"
)

// Definition is the provider's entry in the table.
func Definition() provider.Definition {
	return provider.Define(provider.Definition{
		Summary:  "CyberArk Conjur (Secrets Manager)",
		Ref:      "id, kind:id or account:kind:id of a variable; accessToken for the token itself",
		Cache:    time.Minute,
		CheckRef: checkRef,
	}, build)
}

type conjur struct {
	name     string
	settings Config
	env      environment
	log      *slog.Logger

	mu      sync.Mutex // guards what follows, and how many lookups use a session
	session *session   // nil until it is needed, and after what it was made of has failed
	closed  bool
}

func build(c Config, s provider.Setup) (provider.Provider, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return &conjur{name: s.Name, settings: c, env: s.LookupEnv, log: s.Log}, nil
}

// Fetch reads all ids with one token and, where they fit, in one request.
func (p *conjur) Fetch(ctx context.Context, ids []string) (map[string]provider.Lease, error) {
	all := strings.Join(ids, ", ")
	if err := ctx.Err(); err != nil {
		return nil, p.fail(all, err)
	}
	for _, id := range ids {
		if err := checkRef(id); err != nil {
			return nil, p.fail(id, err)
		}
	}
	if len(ids) == 0 {
		return map[string]provider.Lease{}, nil
	}
	s, err := p.acquire()
	if err != nil {
		return nil, p.fail(all, err)
	}
	defer p.release(s)
	out, err := s.fetch(ctx, ids)
	if err != nil {
		if r, ok := errors.AsType[*reason](err); ok && r.reload {
			p.drop(s)
		}
		return nil, p.fail(all, err)
	}
	return out, nil
}

// fetch logs in once more when Conjur does not accept the token.
func (s *session) fetch(ctx context.Context, ids []string) (map[string]provider.Lease, error) {
	t, err := s.access(ctx, 0)
	if err != nil {
		return nil, err
	}
	out, err := s.fetchWith(ctx, t, ids)
	t.raw.Wipe()
	if !isDenied(err) {
		return out, err
	}
	if t, err = s.access(ctx, t.serial); err != nil {
		return nil, err
	}
	defer t.raw.Wipe()
	out, err = s.fetchWith(ctx, t, ids)
	if isDenied(err) && t.foreign {
		return nil, because("Conjur does not accept the access token in %s; see that it is kept fresh", s.id.TokenFile)
	}
	return out, err
}

func (s *session) fetchWith(ctx context.Context, t token, ids []string) (map[string]provider.Lease, error) {
	var refs []ref
	of := map[string]string{} // id to full id
	for _, id := range ids {
		if id == accessToken {
			continue
		}
		r, err := parse(id)
		if err != nil {
			return nil, err
		}
		r = r.in(s.id.Account)
		if !known(refs, r) {
			refs = append(refs, r)
		}
		of[id] = r.full()
	}
	values, err := s.read(ctx, t, refs)
	if err != nil {
		return nil, err
	}
	out := make(map[string]provider.Lease, len(ids))
	for _, id := range ids {
		if id == accessToken {
			out[id] = provider.Lease{Value: t.raw.Clone(), Expires: t.ends, ID: strconv.FormatUint(t.serial, 10)}
			continue
		}
		out[id] = provider.Lease{Value: values[of[id]].Clone()} // two ids may mean one variable
	}
	wipe(values)
	return out, nil
}

func known(refs []ref, r ref) bool {
	for _, other := range refs {
		if other == r {
			return true
		}
	}
	return false
}

func wipe(values map[string]secret.Value) {
	for _, v := range values {
		v.Wipe()
	}
}

var errClosed = errors.New("provider is closed")

// acquire makes a session, or gives the one there is to another lookup.
func (p *conjur) acquire() (*session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	if p.session == nil {
		s, err := newSession(p.settings, p.env)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(s.id.base, "http://") && p.log != nil {
			p.log.Warn("Conjur is asked without TLS: who can listen gets keys and secrets", "url", s.id.base)
		}
		s.users, p.session = 1, s
	}
	p.session.users++
	return p.session, nil
}

// release ends a session with its last lookup, if it has been dropped.
func (p *conjur) release(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.users--; s.users == 0 {
		s.close()
	}
}

// drop makes the next lookup start from settings and files again.
func (p *conjur) drop(s *session) {
	p.mu.Lock()
	same := p.session == s
	if same {
		p.session = nil
	}
	p.mu.Unlock()
	if same {
		p.release(s)
	}
}

// Rejected says that a target did not accept an access token.
func (p *conjur) Rejected(lease string) {
	serial, err := strconv.ParseUint(lease, 10, 64)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.session != nil {
		p.session.rejected.Store(serial)
	}
}

// Released has nothing to do: tokens end by themselves.
func (p *conjur) Released(string) {}

// Close wipes tokens and ends connections; what a lookup uses, with its end.
func (p *conjur) Close() {
	p.mu.Lock()
	p.closed = true
	s := p.session
	p.mu.Unlock()
	if s != nil {
		p.drop(s)
	}
}

var _ provider.LeaseKeeper = (*conjur)(nil)
