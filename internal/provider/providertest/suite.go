// Package providertest is the conformance suite that every provider passes.
package providertest

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"secretless/internal/provider"
)

// Canary is part of every value that the suite stores: where it appears in an
// error or a log line, a secret has leaked.
const Canary = "c4nary-7f3a9e"

// Source is a provider under test and the ids of what it holds.
type Source struct {
	Provider provider.Provider
	// Refs are the ids of the values that New was given, by the same names.
	Refs map[string]string
	// Missing is an id of the right form that the source does not hold; empty
	// if every id has a value.
	Missing string
}

// Config describes a provider to the suite.
type Config struct {
	// New makes a provider over a source that holds values. It uses s for
	// everything that the provider takes from outside, its log above all, and
	// cleans up what it started for the source with t.Cleanup; the suite
	// closes the provider.
	New func(t *testing.T, s provider.Setup, values map[string][]byte) Source
	// Holds says which values the source can store as they are; nil means
	// all.
	Holds func(value []byte) bool
	// EmptyRef is true if the empty id has a value.
	EmptyRef bool
}

// Run runs the suite. Tests within must not run in parallel with others of the
// package, since they count goroutines.
func Run(t *testing.T, c Config) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *harness)
	}{
		{"one value", oneValue},
		{"several values at once", severalValues},
		{"values byte for byte", byteForByte},
		{"no ids", noIDs},
		{"empty id", emptyID},
		{"missing id", missingID},
		{"missing id beside good ones", missingBesideGood},
		{"cancelled context", cancelled},
		{"caller owns the values", ownership},
		{"concurrent lookups", concurrent},
		{"through the Resolver", throughResolver},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newHarness(t, c)) })
	}
}

// harness watches what a test's provider logs and leaves behind.
type harness struct {
	Config
	t    *testing.T
	logs *logBuffer
}

func newHarness(t *testing.T, c Config) *harness {
	before := goleak.IgnoreCurrent()
	h := &harness{c, t, &logBuffer{}}
	t.Cleanup(func() { // runs last: after the source and the provider ended
		if err := goleak.Find(before); err != nil {
			t.Errorf("goroutines left after Close: %v", err)
		}
		h.noSecret("log", h.logs.String())
	})
	return h
}

// open makes a provider that holds values, each with the canary in it unless
// raw.
func (h *harness) open(values map[string][]byte) Source {
	h.t.Helper()
	s := h.New(h.t, provider.Setup{
		Name:      "under-test",
		Decode:    func(any) error { return nil },
		LookupEnv: func(string) (string, bool) { return "", false },
		Log:       slog.New(slog.NewTextHandler(h.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, values)
	h.t.Cleanup(func() {
		if c, ok := s.Provider.(provider.Closer); ok {
			c.Close()
		}
	})
	for name := range values {
		if _, ok := s.Refs[name]; !ok {
			h.t.Fatalf("New gave no id for %q", name)
		}
	}
	return s
}

func (h *harness) noSecret(where, text string) {
	h.t.Helper()
	if strings.Contains(text, Canary) {
		h.t.Errorf("%s contains a secret: %s", where, text)
	}
}

func (h *harness) holds(value []byte) bool { return h.Holds == nil || h.Holds(value) }

func (h *harness) expect(leases map[string]provider.Lease, ref string, want []byte) {
	h.t.Helper()
	l, ok := leases[ref]
	if !ok {
		h.t.Errorf("no value for id %q", ref)
		return
	}
	if got := l.Value.Bytes(); !bytes.Equal(got, want) {
		h.t.Errorf("id %q: got %q, want %q", ref, got, want)
	}
}
