package env_test

import (
	"bytes"
	"errors"
	"testing"

	"secretless/internal/provider"
	"secretless/internal/provider/env"
	"secretless/internal/provider/providertest"
)

func build(t *testing.T, s provider.Setup, vars map[string]string) provider.Provider {
	t.Helper()
	s.LookupEnv = func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
	p, err := env.Definition().Build(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestConformance(t *testing.T) {
	providertest.Run(t, providertest.Config{
		// An environment holds C strings.
		Holds: func(v []byte) bool { return !bytes.Contains(v, []byte{0}) },
		New: func(t *testing.T, s provider.Setup, values map[string][]byte) providertest.Source {
			vars, refs := map[string]string{}, map[string]string{}
			for name, v := range values {
				vars["T_"+name], refs[name] = string(v), "T_"+name
			}
			return providertest.Source{Provider: build(t, s, vars), Refs: refs, Missing: "T_NOT_SET"}
		},
	})
}

func TestMissingNamesAll(t *testing.T) {
	p := build(t, provider.Setup{Name: "env", Decode: func(any) error { return nil }}, map[string]string{"SET": ""})
	_, err := p.Fetch(t.Context(), []string{"PG_PASSWORD", "PG_USER", "SET"})
	want := "provider env: PG_PASSWORD, PG_USER: environment variable is not set; " +
		"set it where secretless is started, and start it again"
	if err == nil || err.Error() != want || !errors.Is(err, env.ErrNotSet) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestCheckRef(t *testing.T) {
	for name, want := range map[string]string{
		"PG_USER": "",
		"a.b-c":   "",
		"":        "name of the environment variable is empty",
		"A=B":     "name of an environment variable cannot contain = or NUL",
		"A\x00":   "name of an environment variable cannot contain = or NUL",
	} {
		got := ""
		if err := env.Definition().CheckRef(name); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}
