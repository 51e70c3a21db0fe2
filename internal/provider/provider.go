// Package provider is the contract between the broker and the places that
// keep secrets, and the Resolver that asks them: batching, single-flight,
// deadlines, cache and rotation. A provider lives in a folder of its own and
// imports this package and secret.
package provider

import (
	"context"
	"fmt"
	"time"

	"secretless/internal/secret"
)

// Provider reads secrets from one source.
type Provider interface {
	// Fetch reads all refs in one consistent lookup: refs that name parts of
	// one secret come from one version or lease of it. On success the map has
	// an entry for every ref and the caller owns the values. An error fails
	// the whole lookup; it should be an *Error. ctx carries the deadline.
	//
	// Safe for concurrent use.
	Fetch(ctx context.Context, refs []string) (map[string]Lease, error)
}

// Lease is a value and how long it is good for.
type Lease struct {
	Value secret.Value
	// Expires caps how long the value may be cached; zero means no limit of
	// its own.
	Expires time.Time
}

// Closer is implemented by providers that hold something in the background
// (token renewal, leases). Close is called once, when no service uses the
// instance any more, and returns when everything has ended.
type Closer interface{ Close() }

// Error is a failed lookup. Its text names the provider and the id and says
// why, and never contains a value or a response body.
type Error struct {
	Provider string // the instance's name
	Ref      string // empty if it is not about one id
	Err      error
	// Transient errors are worth another try in the same lookup: the network
	// failed, the service is overloaded or sealed.
	Transient bool
}

// Error is "provider <name>: <ref>: <why>".
func (e *Error) Error() string {
	if e.Ref == "" {
		return fmt.Sprintf("provider %s: %v", e.Provider, e.Err)
	}
	return fmt.Sprintf("provider %s: %s: %v", e.Provider, e.Ref, e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
