package provider_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"secretless/internal/provider"
	"secretless/internal/secret"
)

// What connectors ask for; they declare it, and this package must not import
// them.
var _ interface {
	Get(ctx context.Context) (*secret.Set, error)
	Rejected(set *secret.Set) (retry bool)
	Accepted(set *secret.Set)
} = (*provider.Credentials)(nil)

// canary is part of every value of a fake.
const canary = "c4nary"

// fake is a provider whose behaviour a test sets. Values carry the number of
// the lookup that they came from.
type fake struct {
	mu     sync.Mutex
	calls  [][]string
	leases []provider.Lease // everything ever handed out
	closed int

	delay   time.Duration
	deaf    chan struct{} // if set, Fetch ignores ctx until it is closed
	expires time.Duration
	lease   func(n int) provider.Lease // its Value is filled in
	err     error
	answer  func(n int, ref string) string
	hook    func(ctx context.Context, n int) error
}

func (f *fake) Fetch(ctx context.Context, refs []string) (map[string]provider.Lease, error) {
	f.mu.Lock()
	f.calls = append(f.calls, refs)
	n, delay, deaf, err, hook := len(f.calls), f.delay, f.deaf, f.err, f.hook
	f.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, n); err != nil {
			return nil, err
		}
	}
	if deaf != nil {
		<-deaf
	} else {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]provider.Lease{}
	for _, ref := range refs {
		text := fmt.Sprintf("%s-%s-%d", canary, ref, n)
		if f.answer != nil {
			text = f.answer(n, ref)
		}
		l := provider.Lease{Value: secret.Copy(text)}
		if f.lease != nil {
			l.Value.Wipe()
			l = f.lease(n)
			l.Value = secret.Copy(text)
		}
		if f.expires != 0 {
			l.Expires = time.Now().Add(f.expires)
		}
		out[ref] = l
		f.leases = append(f.leases, l)
	}
	return out, nil
}

func (f *fake) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
}

func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls)
}

// alive counts handed out values that have not been wiped.
func (f *fake) alive() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.leases {
		if l.Value.Len() > 0 {
			n++
		}
	}
	return n
}

// resolve makes Credentials with one credential "password" from f.
func resolve(t *testing.T, f *fake, o provider.InstanceOptions) *provider.Credentials {
	t.Helper()
	if o.Provider = f; o.Name == "" {
		o.Name = "vault"
	}
	i := provider.NewInstance(o)
	c := provider.NewCredentials("orders", []provider.Ref{{Name: "password", Instance: i, Get: "db"}}, o.Log)
	i.Close()
	t.Cleanup(c.Close)
	return c
}

func mustGet(t *testing.T, c *provider.Credentials) *secret.Set {
	t.Helper()
	set, err := c.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// password gets and wipes a set and returns what it held.
func password(t *testing.T, c *provider.Credentials) string {
	t.Helper()
	set := mustGet(t, c)
	defer set.Wipe()
	return set.Text("password", "")
}

func wantPassword(t *testing.T, c *provider.Credentials, lookup int) {
	t.Helper()
	if got, want := password(t, c), fmt.Sprintf("%s-db-%d", canary, lookup); got != want {
		t.Errorf("password: got %s, want %s", got, want)
	}
}

func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %q", text)
	} else if err.Error() != text {
		t.Errorf("error\n got %q\nwant %q", err, text)
	}
}

func transient(text string) error {
	return &provider.Error{Err: fmt.Errorf("%s", text), Transient: true}
}

func logTo(b *strings.Builder) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
