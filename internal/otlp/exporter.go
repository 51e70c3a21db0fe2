package otlp

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	dto "github.com/prometheus/client_model/go"

	"secretless/internal/stage"
)

// Options are what an Exporter works with.
type Options struct {
	// Gather is asked for the metrics when they are due.
	Gather   func() ([]*dto.MetricFamily, error)
	Resource Resource
	Log      *slog.Logger
}

// Exporter sends metrics and spans to one destination after another, and to
// none at first. Safe for concurrent use.
type Exporter struct {
	gather   func() ([]*dto.MetricFamily, error)
	resource Resource
	log      *slog.Logger
	start    time.Time
	tracer   tracer
	metrics  signal
	traces   signal
	ended    atomic.Uint64
	dropped  atomic.Uint64

	mu      sync.Mutex // guards what follows; held to change the destination
	current *pipeline
	ending  sync.WaitGroup // pipelines of destinations that are not used any more
}

// New makes an Exporter; Close ends it.
func New(o Options) *Exporter {
	log := logOrDiscard(o.Log)
	return &Exporter{
		gather: o.Gather, resource: o.Resource, log: log, start: time.Now(),
		metrics: signal{name: signalMetrics, log: log}, traces: signal{name: signalTraces, log: log},
	}
}

// Tracer makes spans for the destination of the moment.
func (e *Exporter) Tracer() stage.Tracer { return &e.tracer }

// Use changes the destination, which belongs to the Exporter from now on; nil
// is none. One with the Digest of the present one is closed and changes nothing.
// What was for the old one is still sent to it, in the background.
func (e *Exporter) Use(to *Destination) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current != nil && to != nil && e.current.to.Digest == to.Digest {
		to.close()
		return
	}
	old := e.current
	e.current = nil
	if to != nil {
		e.current = e.begin(*to)
	}
	if e.current != nil && e.current.provider != nil {
		e.tracer.current.Store(e.current.provider)
	} else {
		e.tracer.current.Store(nil)
	}
	if old != nil {
		e.ending.Go(old.end)
	}
}

// Close sends what there is, which takes some seconds at most, and returns when
// nothing runs any more.
func (e *Exporter) Close() {
	e.Use(nil)
	e.ending.Wait()
}

// Stats is a snapshot.
func (e *Exporter) Stats() Stats {
	return Stats{
		Sent:     map[string]uint64{signalMetrics: e.metrics.sent.Load(), signalTraces: e.traces.sent.Load()},
		Failed:   map[string]uint64{signalMetrics: e.metrics.failed.Load(), signalTraces: e.traces.failed.Load()},
		Rejected: map[string]uint64{signalMetrics: e.metrics.rejected.Load(), signalTraces: e.traces.rejected.Load()},
		Spans:    e.ended.Load(), Dropped: e.dropped.Load(),
	}
}

func (d *Destination) close() {
	if d.Close != nil {
		d.Close()
	}
}
