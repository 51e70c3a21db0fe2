// Package env is the provider that reads the broker's environment variables.
package env

import (
	"context"
	"errors"
	"strings"

	"secretless/internal/provider"
	"secretless/internal/secret"
)

// ErrNotSet is a variable that the broker's environment does not have. One
// that is set to the empty string is a value.
var ErrNotSet = errors.New("environment variable is not set; set it where secretless is started, and start it again")

// Definition is the provider's entry in the table.
func Definition() provider.Definition {
	return provider.Define(provider.Definition{
		Summary:  "environment variables of the broker's process",
		Ref:      "the variable's name",
		CheckRef: checkName,
	}, func(_ struct{}, s provider.Setup) (provider.Provider, error) {
		return environment{s.Name, s.LookupEnv}, nil
	})
}

// checkName refuses what no environment can hold.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("name of the environment variable is empty")
	case strings.ContainsAny(name, "=\x00"):
		return errors.New("name of an environment variable cannot contain = or NUL")
	}
	return nil
}

type environment struct {
	instance string
	lookup   func(string) (string, bool)
}

// Immediate: the environment is memory.
func (environment) Immediate() {}

// Fetch reads every variable or fails with all that are missing.
func (e environment) Fetch(ctx context.Context, refs []string) (map[string]provider.Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out := make(map[string]provider.Lease, len(refs))
	var missing []string
	for _, ref := range refs {
		text, ok := e.lookup(ref)
		if !ok {
			missing = append(missing, ref)
			continue
		}
		out[ref] = provider.Lease{Value: secret.Copy(text)}
	}
	if len(missing) > 0 {
		for _, l := range out {
			l.Value.Wipe()
		}
		return nil, &provider.Error{Provider: e.instance, Ref: strings.Join(missing, ", "), Err: ErrNotSet}
	}
	return out, nil
}
