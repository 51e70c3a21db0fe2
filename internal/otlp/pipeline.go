package otlp

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// endWait is how long a destination may take to get the last of what was meant
// for it.
const endWait = 3 * time.Second

// pipeline is everything on the way to one destination: a goroutine for each
// signal, so that one does not wait for the other.
type pipeline struct {
	to       Destination
	client   *client
	provider *sdktrace.TracerProvider // nil without traces

	ctx    context.Context
	cancel context.CancelFunc
	quit   chan struct{}
	work   sync.WaitGroup
}

func (e *Exporter) begin(to Destination) *pipeline {
	p := &pipeline{to: to, client: newClient(to), quit: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if to.Interval > 0 {
		p.work.Go(func() { e.push(p) })
	}
	if to.Traces {
		exporter := otlptrace.NewUnstarted(upload{p, &e.traces})
		q := newQueue(&e.ended, &e.dropped, exporter.ExportSpans)
		p.provider = newProvider(to, e.resource.sdk(), q)
		p.work.Go(func() { q.run(p.ctx) })
	}
	return p
}

// push sends the metrics when they are due, and a last time at the end.
func (e *Exporter) push(p *pipeline) {
	ticks := time.NewTicker(p.to.Interval)
	defer ticks.Stop()
	for last := false; !last; {
		select {
		case <-ticks.C:
		case <-p.quit:
			last = true
		}
		var rejected uint64
		families, err := e.gather()
		if err == nil {
			data := metricsData(families, e.resource.proto(), e.start, time.Now())
			// Not repeated: the next ones say it all.
			rejected, err = p.client.send(p.ctx, signalMetrics, data, points(families), 1)
		}
		e.metrics.done(rejected, err)
	}
}

// end sends what there is and gives up when that takes too long.
func (p *pipeline) end() {
	timer := time.AfterFunc(endWait, p.cancel)
	defer timer.Stop()
	defer p.cancel()
	close(p.quit)
	if p.provider != nil {
		_ = p.provider.Shutdown(context.Background()) // the queue's, which does not fail
	}
	p.work.Wait()
	p.client.close()
	p.to.close()
}

// upload is the otlptrace.Client. The official ones are not used: they link
// gRPC, read the environment and report to a global handler.
type upload struct {
	p      *pipeline
	signal *signal
}

// Start does nothing.
func (upload) Start(context.Context) error { return nil }

// Stop does nothing.
func (upload) Stop(context.Context) error { return nil }

// UploadTraces sends a batch. The message is that of the service's request,
// whose type would link gRPC.
func (u upload) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	items := 0
	for _, r := range spans {
		for _, s := range r.ScopeSpans {
			items += len(s.Spans)
		}
	}
	rejected, err := u.p.client.send(ctx, signalTraces, &tracepb.TracesData{ResourceSpans: spans}, items, spanAttempts)
	u.signal.done(rejected, err)
	return err
}

// attributes are those of OpenTelemetry's conventions and more.
func (r Resource) attributes() map[string]string {
	all := map[string]string{"service.name": r.Service, "service.version": r.Version}
	for k, v := range r.Attributes {
		all[k] = v
	}
	return all
}

func (r Resource) sdk() *sdkresource.Resource {
	var attrs []attribute.KeyValue
	for k, v := range r.attributes() {
		attrs = append(attrs, attribute.String(k, v))
	}
	return sdkresource.NewSchemaless(attrs...)
}

func (r Resource) proto() *resourcepb.Resource {
	out := &resourcepb.Resource{}
	for k, v := range r.attributes() {
		out.Attributes = append(out.Attributes, &commonpb.KeyValue{
			Key: k, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: v}},
		})
	}
	return out
}
