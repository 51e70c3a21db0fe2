package providertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"secretless/internal/provider"
)

// prompt is how long a lookup of a cancelled context may take: long enough for
// a loaded machine, far below any network time-out.
const prompt = 3 * time.Second

func account() map[string][]byte {
	return map[string][]byte{
		"username": []byte("app-" + Canary),
		"password": []byte("pa ss-" + Canary),
		"host":     []byte("db-" + Canary),
	}
}

func oneValue(t *testing.T, h *harness) {
	values := account()
	s := h.open(values)
	leases, err := s.Provider.Fetch(t.Context(), []string{s.Refs["password"]})
	if err != nil {
		t.Fatal(err)
	}
	h.expect(leases, s.Refs["password"], values["password"])
}

func severalValues(t *testing.T, h *harness) {
	values := account()
	s := h.open(values)
	leases, err := s.Provider.Fetch(t.Context(), slices.Sorted(maps.Values(s.Refs)))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range values {
		h.expect(leases, s.Refs[name], want)
	}
}

func byteForByte(t *testing.T, h *harness) {
	values := map[string][]byte{}
	for name, v := range map[string]string{
		"empty":    "",
		"newlines": "\n" + Canary + "\r\n\n",
		"spaces":   "  " + Canary + "\t ",
		"utf8":     "pä$$wörd-密码-" + Canary,
		"quotes":   `"'\` + "`${" + Canary + "}%s",
		"nul":      "a\x00b" + Canary,
		"binary":   "\xff\xfe\x80" + Canary + "\x01",
		"long":     strings.Repeat(Canary, 2000),
	} {
		if h.holds([]byte(v)) {
			values[name] = []byte(v)
		}
	}
	s := h.open(values)
	leases, err := s.Provider.Fetch(t.Context(), slices.Sorted(maps.Values(s.Refs)))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range values {
		h.expect(leases, s.Refs[name], want)
	}
}

func noIDs(t *testing.T, h *harness) {
	s := h.open(account())
	leases, err := s.Provider.Fetch(t.Context(), nil)
	if err != nil || len(leases) != 0 {
		t.Errorf("lookup of nothing: got %d values, error %v", len(leases), err)
	}
}

func emptyID(t *testing.T, h *harness) {
	s := h.open(account())
	leases, err := s.Provider.Fetch(t.Context(), []string{""})
	switch {
	case h.EmptyRef && err != nil:
		t.Errorf("empty id: %v", err)
	case h.EmptyRef:
		h.expect(leases, "", nil)
	case err == nil:
		t.Error("empty id: no error")
	default:
		h.noSecret("error", err.Error())
	}
}

func missingID(t *testing.T, h *harness) {
	s := h.open(account())
	if s.Missing == "" {
		t.Skip("every id has a value")
	}
	leases, err := s.Provider.Fetch(t.Context(), []string{s.Missing})
	h.expectMissing(s, leases, err)
}

func missingBesideGood(t *testing.T, h *harness) {
	s := h.open(account())
	if s.Missing == "" {
		t.Skip("every id has a value")
	}
	refs := slices.Sorted(maps.Values(s.Refs))
	for n := range len(refs) + 1 { // wherever it stands
		leases, err := s.Provider.Fetch(t.Context(), slices.Insert(slices.Clone(refs), n, s.Missing))
		h.expectMissing(s, leases, err)
	}
}

func (h *harness) expectMissing(s Source, leases map[string]provider.Lease, err error) {
	h.t.Helper()
	if err == nil {
		h.t.Fatalf("missing id %q: no error, %d values", s.Missing, len(leases))
	}
	if len(leases) != 0 {
		h.t.Errorf("failed lookup returned %d values", len(leases))
	}
	e, ok := errors.AsType[*provider.Error](err)
	if !ok {
		h.t.Errorf("error is a %T, want a *provider.Error: %v", err, err)
	} else if e.Transient {
		h.t.Errorf("missing id is called transient: %v", err)
	}
	for _, want := range []string{"under-test", s.Missing} {
		if !strings.Contains(err.Error(), want) {
			h.t.Errorf("error does not name %q: %v", want, err)
		}
	}
	h.noSecret("error", err.Error())
}

func cancelled(t *testing.T, h *harness) {
	s := h.open(account())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	start := time.Now()
	leases, err := s.Provider.Fetch(ctx, slices.Sorted(maps.Values(s.Refs)))
	if took := time.Since(start); took > prompt {
		t.Errorf("cancelled lookup took %v", took)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled lookup: error %v, want one that wraps context.Canceled", err)
	}
	if len(leases) != 0 {
		t.Errorf("cancelled lookup returned %d values", len(leases))
	}
	if err != nil {
		h.noSecret("error", err.Error())
	}
}

func ownership(t *testing.T, h *harness) {
	values := account()
	s := h.open(values)
	ref := []string{s.Refs["password"]}
	first, err := s.Provider.Fetch(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Provider.Fetch(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	first[ref[0]].Value.Wipe()
	h.expect(second, ref[0], values["password"])
	third, err := s.Provider.Fetch(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	h.expect(third, ref[0], values["password"])
}

func concurrent(t *testing.T, h *harness) {
	values := account()
	s := h.open(values)
	all := slices.Sorted(maps.Values(s.Refs))
	var wg sync.WaitGroup
	for n := range 16 {
		wg.Go(func() {
			for range 8 {
				leases, err := s.Provider.Fetch(t.Context(), all)
				if err != nil {
					t.Error(err)
					return
				}
				for name, want := range values {
					h.expect(leases, s.Refs[name], want)
				}
				for _, l := range leases { // races if two callers share one
					l.Value.Wipe()
				}
				if n%2 == 0 && s.Missing != "" {
					if _, err := s.Provider.Fetch(t.Context(), []string{s.Missing}); err == nil {
						t.Error("missing id: no error")
					}
				}
			}
		})
	}
	wg.Wait()
}

func throughResolver(t *testing.T, h *harness) {
	values := account()
	s := h.open(values)
	instance := provider.NewInstance(provider.InstanceOptions{Name: "under-test", Provider: keepOpen{s.Provider}})
	var refs []provider.Ref
	for name, ref := range s.Refs {
		refs = append(refs, provider.Ref{Name: name, Instance: instance, Get: ref})
	}
	c := provider.NewCredentials("service", refs, nil)
	instance.Close()
	defer c.Close()
	set, err := c.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer set.Wipe()
	for name, want := range values {
		if v, _ := set.Get(name); string(v.Bytes()) != string(want) {
			t.Errorf("%s: got %q, want %q", name, v.Bytes(), want)
		}
	}
	h.noSecret("printed set", fmt.Sprintf("%v %+v %#v %s %v", set, set, set, set, *set))
}

// keepOpen leaves closing to the harness.
type keepOpen struct{ provider.Provider }
