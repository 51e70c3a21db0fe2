package file

import (
	"context"
	"strings"

	"secretless/internal/provider"
)

// missing answers where there is no directory of credentials. A configuration
// that needs one still loads, so that it can be validated anywhere.
type missing struct{ instance string }

// Fetch always fails.
func (m missing) Fetch(_ context.Context, names []string) (map[string]provider.Lease, error) {
	return nil, &provider.Error{Provider: m.instance, Ref: strings.Join(names, ", "), Err: ErrNoCredentials}
}
