// Package literal is the provider whose ids are the values themselves.
package literal

import (
	"context"
	"fmt"

	"secretless/internal/provider"
	"secretless/internal/secret"
)

// maxValue is the Resolver's bound on a value, told at load time here.
const maxValue = 1 << 20

// Definition is the provider's entry in the table.
func Definition() provider.Definition {
	return provider.Define(provider.Definition{
		Summary: "values written in the configuration itself, for what is no secret",
		Ref:     "the value itself",
		CheckRef: func(ref string) error {
			if len(ref) > maxValue {
				return fmt.Errorf("literal has %d bytes, more than %d", len(ref), maxValue)
			}
			return nil
		},
	}, func(struct{}, provider.Setup) (provider.Provider, error) { return literal{}, nil })
}

type literal struct{}

// Immediate: there is nothing to look up.
func (literal) Immediate() {}

// SecretRefs keeps the values out of the Resolver's errors.
func (literal) SecretRefs() {}

// Fetch copies every ref into a value.
func (literal) Fetch(ctx context.Context, refs []string) (map[string]provider.Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out := make(map[string]provider.Lease, len(refs))
	for _, ref := range refs {
		out[ref] = provider.Lease{Value: secret.Copy(ref)}
	}
	return out, nil
}
