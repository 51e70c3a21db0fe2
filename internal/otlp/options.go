// Package otlp sends metrics and traces to an OpenTelemetry collector, by OTLP
// over HTTP. Whatever the collector does, nobody waits for it: queues are
// bounded, and what does not fit is counted and dropped.
package otlp

import (
	"context"
	"crypto/x509"
	"log/slog"
	"time"

	"secretless/internal/secret"
)

// Credentials are where the values of headers, and the key of the client
// certificate, come from; they are asked anew for each request.
type Credentials interface {
	Get(ctx context.Context) (*secret.Set, error)
	Rejected(set *secret.Set) (retry bool)
	Accepted(set *secret.Set)
}

// KeyName is the name of the client certificate's key in Credentials. It is no
// name that a header can have.
const KeyName = "client key"

// Destination is a collector and what is sent to it.
type Destination struct {
	// Endpoint is the base URL; /v1/metrics and /v1/traces are added.
	Endpoint string
	// Headers are the names, in lower case, of those that Credentials have a
	// value for.
	Headers     []string
	Credentials Credentials
	// Roots are the authorities to trust; nil means the system's.
	Roots *x509.CertPool
	// CertPEM is the client certificate; empty means none.
	CertPEM []byte
	// Timeout bounds one request.
	Timeout time.Duration
	// Interval is how often metrics are sent; zero means never.
	Interval time.Duration
	// Traces says whether spans are made, Sample which part of them.
	Traces bool
	Sample float64
	// Digest identifies all of the above: equal for destinations that behave the
	// same.
	Digest string
	// Close gives up Credentials. May be nil.
	Close func()
}

// Resource says which process it is.
type Resource struct {
	// Service and Version are service.name and service.version.
	Service, Version string
	// Attributes are more of them.
	Attributes map[string]string
}

// Stats counts what has been sent; they survive a change of the destination.
type Stats struct {
	// Sent and Failed count requests by signal.
	Sent, Failed map[string]uint64
	// Rejected counts data points or spans that the collector has refused out of
	// requests that it took.
	Rejected map[string]uint64
	// Spans counts those that ended, Dropped those of them that were lost.
	Spans, Dropped uint64
}

// The signals of Stats.
const (
	signalMetrics = "metrics"
	signalTraces  = "traces"
)

func logOrDiscard(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
