package otlp

import (
	"log/slog"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// span is one that is recorded.
type span struct{ trace.Span }

// Set adds attributes.
func (s span) Set(attrs ...slog.Attr) {
	out := make([]attribute.KeyValue, 0, len(attrs))
	for _, a := range attrs {
		switch v := a.Value; v.Kind() {
		case slog.KindInt64:
			out = append(out, attribute.Int64(a.Key, v.Int64()))
		case slog.KindUint64:
			out = append(out, attribute.Int64(a.Key, int64(v.Uint64())))
		case slog.KindBool:
			out = append(out, attribute.Bool(a.Key, v.Bool()))
		default:
			out = append(out, attribute.String(a.Key, v.String()))
		}
	}
	s.SetAttributes(out...)
}

// Event notes a moment.
func (s span) Event(name string) { s.AddEvent(name) }

// End ends the span.
func (s span) End(reason string) {
	if reason != "" {
		s.SetStatus(codes.Error, reason)
		s.SetAttributes(attribute.String("error.type", reason))
	}
	s.Span.End()
}
