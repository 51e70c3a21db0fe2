package stage

import (
	"context"
	"log/slog"
)

// Parent is what a request says of the trace that it belongs to: the headers of
// W3C Trace Context, as they are on the wire.
type Parent struct{ Traceparent, Tracestate string }

// Tracer makes spans. Safe for concurrent use; it never blocks, wherever the
// spans go.
type Tracer interface {
	// Connection begins the span of a connection: a trace of its own. The span
	// is nil where nobody records it.
	Connection(ctx context.Context, name string) (context.Context, Span)
	// Stage begins a span below the one of ctx.
	Stage(ctx context.Context, name string) (context.Context, Span)
	// Request begins the span of a request that came with from, and links it to
	// the connection's. to is what the request says onwards: the zero Parent
	// means what it said already.
	Request(ctx context.Context, name string, from Parent) (inner context.Context, span Span, to Parent)
}

// Span is a piece of work under way. Nothing in it may be a secret or chosen by
// a client without bound.
type Span interface {
	// Set adds attributes; strings, numbers and booleans.
	Set(attrs ...slog.Attr)
	// Event notes that something has happened.
	Event(name string)
	// End ends the span; reason is a short stable word, empty for success.
	End(reason string)
}

// NoTracer is the Tracer where nothing is traced.
type NoTracer struct{}

// Connection makes no span.
func (NoTracer) Connection(ctx context.Context, _ string) (context.Context, Span) { return ctx, nil }

// Stage makes no span.
func (NoTracer) Stage(ctx context.Context, _ string) (context.Context, Span) { return ctx, nil }

// Request makes no span, and leaves the request as it is.
func (NoTracer) Request(ctx context.Context, _ string, _ Parent) (context.Context, Span, Parent) {
	return ctx, nil, Parent{}
}
