// Package token keeps the access token that an authenticator has fetched for a
// service until it ends, so that many requests cost one fetch.
package token

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"secretless/internal/secret"
)

const (
	// fetchTimeout bounds one fetch, whoever waits for it.
	fetchTimeout = 30 * time.Second
	// unlimited is how long a token lives whose server does not say.
	unlimited = time.Hour
	// longestMargin is how long before its end a token is replaced, unless a
	// tenth of its life is less.
	longestMargin = time.Minute
	// rest is how long the error of a fetch answers those who ask next, and how
	// long a token is kept after one that was dropped.
	rest = time.Second
)

// Token is what a fetch brings. Expires is zero where the server did not say.
type Token struct {
	Value   string
	Expires time.Time
}

// Fetch gets a token. It gets copies of the credentials, which the cache
// wipes, and a context of its own.
type Fetch func(ctx context.Context, credentials *secret.Set) (Token, error)

// Cache holds one token: that of the credentials that were used last. Safe for
// concurrent use. Close ends what is under way.
type Cache struct {
	fetch   Fetch
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	salt    [32]byte

	mu      sync.Mutex
	closed  bool
	key     [sha256.Size]byte // of the credentials that the rest belongs to
	token   Token
	renew   time.Time // from then on a new one is fetched
	failed  time.Time
	dropped time.Time // when the last token was
	err     error
	flight  *flight
}

// flight is a fetch under way.
type flight struct {
	key   [sha256.Size]byte
	done  chan struct{}
	token Token
	err   error
}

// New makes a Cache that is filled by fetch.
func New(fetch Fetch) *Cache {
	c := &Cache{fetch: fetch}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	_, _ = rand.Read(c.salt[:]) // never fails
	return c
}

// Get returns the token for these credentials, a kept one or a new one. When a
// new one cannot be had and the kept one has not ended yet, it is that one.
func (c *Cache) Get(ctx context.Context, credentials *secret.Set) (string, error) {
	key := c.fingerprint(credentials)
	f, token, err := c.start(key, credentials)
	if f == nil {
		return token, err
	}
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-f.done:
	}
	if f.err != nil {
		if kept := c.kept(key); kept != "" {
			return kept, nil
		}
	}
	return f.token.Value, f.err
}

// start answers from what is kept, or returns the fetch to wait for.
func (c *Cache) start(key [sha256.Size]byte, credentials *secret.Set) (*flight, string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if key == c.key {
		resting := c.err != nil && now.Sub(c.failed) < rest
		switch {
		case c.token.Value != "" && now.Before(c.renew):
			return nil, c.token.Value, nil
		case resting && c.alive(now):
			return nil, c.token.Value, nil
		case resting:
			return nil, "", c.err
		}
	}
	if c.flight != nil && c.flight.key == key {
		return c.flight, "", nil
	}
	if c.closed {
		return nil, "", context.Canceled
	}
	f := &flight{key: key, done: make(chan struct{})}
	c.flight = f
	own := clone(credentials)
	c.running.Go(func() { c.run(f, own) })
	return f, "", nil
}

// run is one fetch. It belongs to the cache and not to the request that began
// it: others wait for it too.
func (c *Cache) run(f *flight, credentials *secret.Set) {
	defer credentials.Wipe()
	ctx, cancel := context.WithTimeout(c.ctx, fetchTimeout)
	defer cancel()
	f.token, f.err = c.fetch(ctx, credentials)
	c.mu.Lock()
	if c.flight == f {
		c.flight = nil
		c.settle(f)
	}
	c.mu.Unlock()
	close(f.done)
}

// settle keeps what a fetch brought. Of other credentials nothing is kept.
func (c *Cache) settle(f *flight) {
	now := time.Now()
	if c.key != f.key {
		c.key, c.token, c.renew = f.key, Token{}, time.Time{}
	}
	c.err, c.failed = f.err, now
	if f.err != nil {
		return
	}
	c.token = f.token
	if c.token.Expires.IsZero() {
		c.token.Expires = now.Add(unlimited)
	}
	life := c.token.Expires.Sub(now)
	c.renew = c.token.Expires.Add(-min(longestMargin, life/10))
}

func (c *Cache) alive(now time.Time) bool {
	return c.token.Value != "" && now.Before(c.token.Expires)
}

func (c *Cache) kept(key [sha256.Size]byte) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.key == key && c.alive(time.Now()) {
		return c.token.Value
	}
	return ""
}

// Drop gives the token up if it is still the current one, and reports whether
// Get would now return another for the same credentials. It does so once in a
// while: a client can ask for what no token is good for as often as it likes.
func (c *Cache) Drop(token string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch {
	case c.token.Value != token:
		return true
	case now.Sub(c.dropped) < rest:
		return false
	}
	c.token, c.renew, c.dropped = Token{}, time.Time{}, now
	return true
}

// Close ends a fetch under way, waits for it, and forgets the token.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.running.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token, c.err = Token{}, nil
}

// fingerprint tells credentials apart without keeping them.
func (c *Cache) fingerprint(set *secret.Set) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, c.salt[:])
	for _, name := range set.Names() {
		v, _ := set.Get(name)
		_ = binary.Write(mac, binary.BigEndian, [2]uint64{uint64(len(name)), uint64(v.Len())})
		mac.Write([]byte(name))
		mac.Write(v.Bytes())
	}
	mac.Sum(sum[:0])
	return sum
}

func clone(set *secret.Set) *secret.Set {
	values := map[string]secret.Value{}
	for _, name := range set.Names() {
		v, _ := set.Get(name)
		values[name] = v.Clone()
	}
	return secret.NewSet(values)
}
