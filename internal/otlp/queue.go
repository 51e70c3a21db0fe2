package otlp

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	// maxQueue bounds the spans that wait, maxBatch those of one request, and
	// batchAge how long one waits for others.
	maxQueue = 2048
	maxBatch = 512
	batchAge = 5 * time.Second
	// spanAttempts bounds how often a batch is sent: meanwhile others wait.
	spanAttempts = 3
)

// queue takes the spans that have ended and never blocks. The SDK's own keeps
// its count of lost spans to itself, and reports to a global handler.
type queue struct {
	spans          chan sdktrace.ReadOnlySpan
	ended, dropped *atomic.Uint64
	export         func(ctx context.Context, batch []sdktrace.ReadOnlySpan) error

	once sync.Once
	quit chan struct{}
}

func newQueue(ended, dropped *atomic.Uint64, export func(context.Context, []sdktrace.ReadOnlySpan) error) *queue {
	return &queue{
		spans: make(chan sdktrace.ReadOnlySpan, maxQueue), ended: ended, dropped: dropped, export: export,
		quit: make(chan struct{}),
	}
}

// OnStart does nothing.
func (*queue) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd takes a span or drops it.
func (q *queue) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	q.ended.Add(1)
	select {
	case <-q.quit:
		q.dropped.Add(1)
		return
	default:
	}
	select {
	case q.spans <- s:
	default:
		q.dropped.Add(1)
	}
}

// ForceFlush does nothing: spans are sent when it is time.
func (*queue) ForceFlush(context.Context) error { return nil }

// Shutdown ends the taking in of spans; run sends what there is.
func (q *queue) Shutdown(context.Context) error {
	q.once.Do(func() { close(q.quit) })
	return nil
}

// run sends batches until Shutdown, and after it what has been taken. ctx cuts
// it short.
func (q *queue) run(ctx context.Context) {
	for {
		batch := q.collect()
		if len(batch) > 0 {
			if err := q.export(ctx, batch); err != nil {
				q.dropped.Add(uint64(len(batch)))
			}
			continue
		}
		select {
		case <-q.quit:
			if len(q.spans) == 0 {
				return
			}
		default:
		}
	}
}

// collect waits for a span, and then a while for more.
func (q *queue) collect() (batch []sdktrace.ReadOnlySpan) {
	var late <-chan time.Time
	for len(batch) < maxBatch {
		select {
		case s := <-q.spans:
			batch = append(batch, s)
			if late == nil {
				timer := time.NewTimer(batchAge)
				defer timer.Stop()
				late = timer.C
			}
		case <-late:
			return batch
		case <-q.quit:
			select {
			case s := <-q.spans:
				batch = append(batch, s)
			default:
				return batch
			}
		}
	}
	return batch
}
