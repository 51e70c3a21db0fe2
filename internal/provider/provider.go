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
	// Made says that the source made the value for this lookup, as a database
	// engine makes a user, and that the next lookup makes another. It is then
	// cached until shortly before Expires rather than for the instance's time
	// (cache: 0s turns that off too), served until Expires while the provider
	// cannot be reached, and not dropped for what one client is denied.
	// Whatever else is in the same lookup expires as it would alone, and takes
	// the rest along: a provider that is asked again should give a lease out
	// again that is still good.
	Made bool
	// ID names the lease for a LeaseKeeper; values of one lease have the same.
	// Empty if there is nothing to tell.
	ID string
}

// LeaseKeeper is implemented by providers that keep account of what they have
// handed out, to renew and to revoke it. Its methods are called with locks
// held: they take note and return, and leave work to a goroutine that Close
// waits for.
type LeaseKeeper interface {
	// Rejected says that a target refused the values of the lease. It must not
	// be handed out again; the next Fetch, which comes after this call, brings
	// another. Connections that were opened with it may still live.
	Rejected(lease string)
	// Released comes once for each successful Fetch that gave values of the
	// lease, when nobody will be given them any more: they have left the cache.
	// A login that is under way may still use them, and so may connections:
	// a lease that need not be renewed is not one to revoke.
	Released(lease string)
}

// LeaseChecker is implemented by a LeaseKeeper that can ask its source whether
// a lease still is.
type LeaseChecker interface {
	// Doubted says that a target denied something to a login with the lease:
	// what the client asked for is not the login's to have, or the account went
	// away meanwhile. The next Fetch, which comes after this call, finds out,
	// and gives the same lease out again if it is good. Called as Rejected is.
	Doubted(lease string)
}

// Closer is implemented by providers that hold something in the background
// (token renewal, leases). Close is called once, when no service uses the
// instance any more, and returns when everything has ended; it is not waited
// for longer than 10 seconds.
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
