package otlp

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/propagation"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"secretless/internal/stage"
)

// Bounds of one span. Nothing comes near them that is no mistake.
const (
	maxAttributes     = 32
	maxAttributeBytes = 256
	maxEvents         = 32
)

// tracer is the stage.Tracer whose destination can change; without one it makes
// no spans.
type tracer struct {
	current atomic.Pointer[sdktrace.TracerProvider]
}

func newProvider(to Destination, resource *sdkresource.Resource, q *queue) *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(
		sdktrace.WithResource(resource),
		// A client that has decided is followed: its trace would have a hole.
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(to.Sample))),
		// Given in full: what is left out is read from the environment.
		sdktrace.WithRawSpanLimits(sdktrace.SpanLimits{
			AttributeValueLengthLimit: maxAttributeBytes, AttributeCountLimit: maxAttributes, EventCountLimit: maxEvents,
			LinkCountLimit: 1, AttributePerEventCountLimit: 1, AttributePerLinkCountLimit: 1,
		}),
		sdktrace.WithSpanProcessor(q),
	)
}

// Connection begins a trace.
func (t *tracer) Connection(ctx context.Context, name string) (context.Context, stage.Span) {
	p := t.current.Load()
	if p == nil {
		return ctx, nil
	}
	inner, s := p.Tracer(scopeName).Start(ctx, name, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer))
	if !s.IsRecording() {
		return ctx, nil
	}
	return inner, span{s}
}

// Stage begins a span below one that is recorded.
func (*tracer) Stage(ctx context.Context, name string) (context.Context, stage.Span) {
	outer := trace.SpanFromContext(ctx)
	if !outer.IsRecording() {
		return ctx, nil
	}
	inner, s := outer.TracerProvider().Tracer(scopeName).Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
	return inner, span{s}
}

// The headers of W3C Trace Context, which is all that is passed on: what
// clients call baggage is between them and the target.
const (
	traceparent = "traceparent"
	tracestate  = "tracestate"
)

// Request begins a span below the client's, or a trace.
func (t *tracer) Request(ctx context.Context, name string, from stage.Parent) (context.Context, stage.Span, stage.Parent) {
	p := t.current.Load()
	if p == nil {
		return ctx, nil, stage.Parent{}
	}
	var w3c propagation.TraceContext
	outer := trace.ContextWithSpanContext(ctx, trace.SpanContext{})
	if from.Traceparent != "" {
		outer = w3c.Extract(outer, propagation.MapCarrier{traceparent: from.Traceparent, tracestate: from.Tracestate})
	}
	inner, s := p.Tracer(scopeName).Start(outer, name, trace.WithSpanKind(trace.SpanKindServer))
	if !s.IsRecording() && trace.SpanContextFromContext(outer).IsValid() {
		return ctx, nil, stage.Parent{} // the client's word passes through as it is
	}
	to := propagation.MapCarrier{}
	w3c.Inject(inner, to)
	onwards := stage.Parent{Traceparent: to[traceparent], Tracestate: to[tracestate]}
	if !s.IsRecording() {
		return ctx, nil, onwards
	}
	return inner, span{s}, onwards
}
