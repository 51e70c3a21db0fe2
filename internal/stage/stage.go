// Package stage is how the parts of a connection's way say that they begin and
// end, to whoever times and traces them. It is carried by the context, so that
// the code in between neither knows nor cares whether somebody listens.
package stage

import "context"

// Stage is a part of a connection's way.
type Stage int

// The stages. Dial and TLS happen within Authenticate, except in HTTP, where a
// connection to a target is used by many requests.
const (
	Lookup       Stage = iota // a provider is asked, or its cache
	Authenticate              // one attempt to log in at the target, from the dial on
	Dial                      // the target's name is looked up and it is connected to
	TLS                       // the TLS handshake with the target
)

// String is the name of the stage's span.
func (s Stage) String() string {
	names := [...]string{"lookup", "authenticate", "dial", "tls"}
	if s < 0 || int(s) >= len(names) {
		return "unknown"
	}
	return names[s]
}

// Event is something that happens at one moment.
type Event int

// The events.
const (
	Rotation Event = iota // the target refused a cached credential, a new one is tried
	Panic                 // a request ended in a panic, its connection goes on
)

// String is the event's name in a span.
func (e Event) String() string {
	if e == Rotation {
		return "rotation"
	}
	return "panic"
}

// Listener hears of stages and events. Its methods are called from several
// goroutines, and must not block.
type Listener interface {
	// Begin hears that a stage begins, and about what it is: the provider's name
	// or the target's address, never something that a client has chosen. The
	// context it returns is that of the stage; end is called once.
	Begin(ctx context.Context, s Stage, about string) (inner context.Context, end func(error))
	// Mark hears of an event.
	Mark(ctx context.Context, e Event)
}

type key struct{}

// With returns a context whose stages l hears of.
func With(ctx context.Context, l Listener) context.Context { return context.WithValue(ctx, key{}, l) }

// Begin begins a stage. What it returns is the context of the stage, and a
// function to be called with its outcome.
func Begin(ctx context.Context, s Stage, about string) (inner context.Context, end func(error)) {
	if l, ok := ctx.Value(key{}).(Listener); ok {
		return l.Begin(ctx, s, about)
	}
	return ctx, ignore
}

// Mark says that e has happened.
func Mark(ctx context.Context, e Event) {
	if l, ok := ctx.Value(key{}).(Listener); ok {
		l.Mark(ctx, e)
	}
}

func ignore(error) {}
