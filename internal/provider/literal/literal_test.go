package literal_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"secretless/internal/provider"
	"secretless/internal/provider/literal"
	"secretless/internal/provider/providertest"
)

func TestConformance(t *testing.T) {
	providertest.Run(t, providertest.Config{
		EmptyRef: true,
		New: func(t *testing.T, s provider.Setup, values map[string][]byte) providertest.Source {
			p, err := literal.Definition().Build(s)
			if err != nil {
				t.Fatal(err)
			}
			refs := map[string]string{}
			for name, v := range values {
				refs[name] = string(v)
			}
			return providertest.Source{Provider: p, Refs: refs}
		},
	})
}

// A literal is its own id, and ids are part of errors everywhere else.
func TestErrorsDoNotNameTheValue(t *testing.T) {
	p, err := literal.Definition().Build(provider.Setup{Decode: func(any) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	i := provider.NewInstance(provider.InstanceOptions{Name: "lit", Provider: p})
	c := provider.NewCredentials("s", []provider.Ref{
		{Name: "a", Instance: i, Get: providertest.Canary},
		{Name: "b", Instance: i, Get: strings.Repeat(providertest.Canary, 1<<17)},
	}, nil)
	defer c.Close()
	_, tooLong := c.Get(t.Context())
	i.Close()
	cause := errors.New("handshake timeout")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, gaveUp := c.Get(ctx)
	for _, err := range []error{tooLong, gaveUp} {
		if err == nil {
			t.Error("no error")
		} else if strings.Contains(err.Error(), providertest.Canary) {
			t.Errorf("error contains the literal: %.200s", err)
		}
	}
}

func TestCheckRef(t *testing.T) {
	check := literal.Definition().CheckRef
	if err := check(""); err != nil {
		t.Error(err)
	}
	err := check(strings.Repeat("x", 1<<20+1))
	if want := "literal has 1048577 bytes, more than 1048576"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
