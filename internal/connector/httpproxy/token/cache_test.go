package token

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"secretless/internal/secret"
)

func keys(text string) *secret.Set {
	return secret.NewSet(map[string]secret.Value{"clientSecret": secret.Copy(text)})
}

// source counts what it gives out.
type source struct {
	n    atomic.Int32
	life time.Duration
	slow time.Duration
	err  error
}

func (s *source) fetch(ctx context.Context, _ *secret.Set) (Token, error) {
	n := s.n.Add(1)
	if s.slow > 0 {
		select {
		case <-time.After(s.slow):
		case <-ctx.Done():
			return Token{}, ctx.Err()
		}
	}
	if s.err != nil {
		return Token{}, s.err
	}
	t := Token{Value: fmt.Sprint("token", n)}
	if s.life > 0 {
		t.Expires = time.Now().Add(s.life)
	}
	return t, nil
}

func mustGet(t *testing.T, c *Cache, set *secret.Set, want string) {
	t.Helper()
	if got, err := c.Get(t.Context(), set); got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestKeptUntilItEnds(t *testing.T) {
	for name, c := range map[string]struct{ life, kept time.Duration }{
		"an hour":       {time.Hour, time.Hour - time.Minute},
		"a minute":      {time.Minute, 54 * time.Second},
		"no word of it": {0, time.Hour - time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &source{life: c.life}
				cache := New(s.fetch)
				defer cache.Close()
				mustGet(t, cache, keys("a"), "token1")
				time.Sleep(c.kept - time.Second)
				mustGet(t, cache, keys("a"), "token1")
				time.Sleep(2 * time.Second)
				mustGet(t, cache, keys("a"), "token2")
			})
		})
	}
}

func TestOneFetchForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{life: time.Hour, slow: time.Second}
		cache := New(s.fetch)
		defer cache.Close()
		// The first who asks goes away; the others get their token.
		gone, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := cache.Get(gone, keys("a")); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		})
		synctest.Wait()
		for range 20 {
			all.Go(func() { mustGet(t, cache, keys("a"), "token1") })
		}
		leave()
		all.Wait()
		if n := s.n.Load(); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestRotatedCredentialsGetTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{life: time.Hour}
		cache := New(s.fetch)
		defer cache.Close()
		mustGet(t, cache, keys("a"), "token1")
		mustGet(t, cache, keys("b"), "token2")
		mustGet(t, cache, keys("b"), "token2")
	})
}

func TestDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{life: time.Hour}
		cache := New(s.fetch)
		defer cache.Close()
		mustGet(t, cache, keys("a"), "token1")
		cache.Drop("another")
		mustGet(t, cache, keys("a"), "token1")
		cache.Drop("token1")
		mustGet(t, cache, keys("a"), "token2")
	})
}

// A client that asks for what is answered with 401 whatever the token is does
// not have one fetched for each of its requests.
func TestDropsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{life: time.Hour}
		cache := New(s.fetch)
		defer cache.Close()
		renewed := 0
		for range 50 {
			sent, err := cache.Get(t.Context(), keys("a"))
			if err != nil {
				t.Fatal(err)
			}
			if cache.Drop(sent) {
				renewed++
			}
		}
		if n := s.n.Load(); n != 2 || renewed != 1 {
			t.Errorf("%d fetches, %d renewals in a moment", n, renewed)
		}
		if !cache.Drop("token1") {
			t.Error("whoever was sent with the token before has to try the new one")
		}
		time.Sleep(rest)
		if !cache.Drop("token2") {
			t.Error("not dropped any more")
		}
		mustGet(t, cache, keys("a"), "token3")
	})
}

// A failing endpoint is not asked by every request, and what is still good is
// used meanwhile.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		s := &source{life: time.Minute, err: down}
		cache := New(s.fetch)
		defer cache.Close()
		for range 10 {
			if _, err := cache.Get(t.Context(), keys("a")); !errors.Is(err, down) {
				t.Errorf("%v", err)
			}
		}
		if n := s.n.Load(); n != 1 {
			t.Errorf("%d fetches in a moment", n)
		}
		time.Sleep(rest)
		s.err = nil
		mustGet(t, cache, keys("a"), "token2")
		s.err = down
		time.Sleep(57 * time.Second) // due for renewal, not ended
		mustGet(t, cache, keys("a"), "token2")
		mustGet(t, cache, keys("a"), "token2")
		if n := s.n.Load(); n != 3 {
			t.Errorf("%d fetches", n)
		}
		time.Sleep(10 * time.Second)
		if _, err := cache.Get(t.Context(), keys("a")); !errors.Is(err, down) {
			t.Errorf("an ended token is used: %v", err)
		}
	})
}

func TestCloseEndsAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{slow: time.Hour}
		cache := New(s.fetch)
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := cache.Get(t.Context(), keys("a")); err == nil {
				t.Error("no error")
			}
		})
		synctest.Wait()
		cache.Close()
		all.Wait()
		if _, err := cache.Get(t.Context(), keys("a")); err == nil {
			t.Error("a closed cache fetches")
		}
	})
}

func TestFetchIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{slow: time.Hour}
		cache := New(s.fetch)
		defer cache.Close()
		began := time.Now()
		if _, err := cache.Get(t.Context(), keys("a")); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != fetchTimeout {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestCheckURL(t *testing.T) {
	for text, ok := range map[string]bool{
		"https://login.example.com/token": true, "http://127.0.0.1:8080/token": true, "http://localhost/t": true, "http://[::1]:1/t": true,
		"http://login.example.com/token": false, "": false, "login.example.com": false, "ftp://x/": false,
		"https://user:pass@login.example.com/": false, "https://login.example.com/#x": false, "http://127.0.0.1.evil.test/": false,
	} {
		if err := CheckURL(text); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}
