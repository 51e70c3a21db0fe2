package vault_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"secretless/internal/provider"
	"secretless/internal/provider/vault"
	"secretless/internal/testenv"
)

// subject is a provider under test, and what it has logged.
type subject struct {
	provider.Provider
	t   *testing.T
	log *logBuffer
}

// open makes a provider that is closed with the test.
func open(t *testing.T, c vault.Config, vars ...string) *subject {
	t.Helper()
	s := &subject{t: t, log: &logBuffer{}}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p, err := build(provider.Setup{
		Name: "under-test", Log: log, Warn: func(text string, path ...string) { log.Warn(text, "path", path) },
	}, c, vars...)
	if err != nil {
		t.Fatal(err)
	}
	s.Provider = p
	t.Cleanup(s.close)
	return s
}

func build(s provider.Setup, c vault.Config, vars ...string) (provider.Provider, error) {
	s.Decode = func(into any) error {
		*into.(*vault.Config) = c
		return nil
	}
	s.LookupEnv = func(name string) (string, bool) {
		for _, v := range vars {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
	return vault.Definition().Build(s)
}

func (s *subject) close() {
	if s.Provider != nil {
		s.Provider.(provider.Closer).Close()
		s.Provider = nil
	}
}

// fetch reads ids and returns their values as text.
func (s *subject) fetch(ids ...string) (map[string]string, error) {
	leases, err := s.Fetch(s.t.Context(), ids)
	out := map[string]string{}
	for id, l := range leases {
		out[id] = string(l.Value.Bytes())
		l.Value.Wipe()
	}
	return out, err
}

func (s *subject) want(id, value string) {
	s.t.Helper()
	got, err := s.fetch(id)
	if err != nil || got[id] != value {
		s.t.Errorf("%s: got %q, %v; want %q", id, got[id], err, value)
	}
}

// wantError fetches and checks the text, which must have each part, and
// whether it is transient.
func (s *subject) wantError(id string, transient bool, parts ...string) {
	s.t.Helper()
	_, err := s.fetch(id)
	if err == nil {
		s.t.Errorf("%s: no error, want %q", id, parts)
		return
	}
	e, ok := err.(*provider.Error) //nolint:errorlint // the contract
	if !ok || e.Transient != transient {
		s.t.Errorf("%s: got %T %+v, want transient=%v", id, err, err, transient)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			s.t.Errorf("%s: got %q, want it to say %q", id, err, part)
		}
	}
}

func (s *subject) eventually(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited in vain for %s; the log:\n%s", what, s.log)
		}
	}
}

// withToken is a configuration for v with a token of the given policies.
func withToken(t *testing.T, v *testenv.VaultServer, policies ...string) vault.Config {
	t.Helper()
	return tokenConfig(v.Address(), v.Token(t, map[string]any{"policies": policies, "ttl": "1h"}))
}

func tokenConfig(address, token string) vault.Config {
	return vault.Config{Address: address, Auth: vault.Auth{Token: provider.LiteralSetting(token)}}
}

// logBuffer is a bytes.Buffer for many goroutines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) has(s string) bool { return strings.Contains(l.String(), s) }
