// Package metrics makes what the broker counts readable: one registry, from
// which Prometheus reads and OpenTelemetry is sent. The counts belong to those
// who count; they are read when somebody asks, so that a service or provider
// that is gone leaves no series behind.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"secretless/internal/broker"
	"secretless/internal/otlp"
	"secretless/internal/provider"
)

// Sources are where the counts are read; nil where there are none. They are
// called from several goroutines.
type Sources struct {
	Version   string
	Ready     func() bool
	Services  func() []broker.Measurement
	Providers func() []*provider.Instance
	Reloads   func() Reloads
	Exports   func() otlp.Stats
	// AuditLost is how many audit events could not be written.
	AuditLost func() uint64
}

// Reloads is what has become of the configuration since the start, which counts
// as the first success.
type Reloads struct {
	Succeeded, Failed int
	// LastFailed says that the last one changed nothing.
	LastFailed  bool
	LastSuccess time.Time
	// Took is the duration of the last one.
	Took time.Duration
}

// NewRegistry makes the registry.
func NewRegistry(s Sources) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newCollector(s),
	)
	return r
}

const (
	// scrapesAtOnce bounds the work that clients can cause.
	scrapesAtOnce = 4
	scrapeTimeout = 10 * time.Second
)

// Handler answers GET /metrics.
func Handler(r *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: scrapesAtOnce, Timeout: scrapeTimeout,
	}))
	return mux
}
