package otlp

import (
	"math"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
)

// scopeName names who has measured.
const scopeName = "secretless"

// metricsData makes what is gathered for Prometheus a message of OTLP: the same
// names, the same labels, cumulative since start.
func metricsData(families []*dto.MetricFamily, resource *resourcepb.Resource, start, now time.Time) *metricspb.MetricsData {
	scope := &metricspb.ScopeMetrics{Scope: &commonpb.InstrumentationScope{Name: scopeName}}
	c := converter{start: uint64(start.UnixNano()), now: uint64(now.UnixNano())}
	for _, f := range families {
		if m := c.family(f); m != nil {
			scope.Metrics = append(scope.Metrics, m)
		}
	}
	return &metricspb.MetricsData{ResourceMetrics: []*metricspb.ResourceMetrics{
		{Resource: resource, ScopeMetrics: []*metricspb.ScopeMetrics{scope}},
	}}
}

// points is how many data points they become.
func points(families []*dto.MetricFamily) (n int) {
	for _, f := range families {
		n += len(f.GetMetric())
	}
	return n
}

type converter struct{ start, now uint64 }

func (c converter) family(f *dto.MetricFamily) *metricspb.Metric {
	m := &metricspb.Metric{Name: f.GetName(), Description: f.GetHelp(), Unit: unitOf(f.GetName())}
	const cumulative = metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
	switch f.GetType() {
	case dto.MetricType_COUNTER:
		s := &metricspb.Sum{AggregationTemporality: cumulative, IsMonotonic: true}
		for _, one := range f.GetMetric() {
			s.DataPoints = append(s.DataPoints, c.number(one, one.GetCounter().GetValue()))
		}
		m.Data = &metricspb.Metric_Sum{Sum: s}
	case dto.MetricType_GAUGE, dto.MetricType_UNTYPED:
		g := &metricspb.Gauge{}
		for _, one := range f.GetMetric() {
			g.DataPoints = append(g.DataPoints, c.number(one, one.GetGauge().GetValue()+one.GetUntyped().GetValue()))
		}
		m.Data = &metricspb.Metric_Gauge{Gauge: g}
	case dto.MetricType_HISTOGRAM:
		h := &metricspb.Histogram{AggregationTemporality: cumulative}
		for _, one := range f.GetMetric() {
			h.DataPoints = append(h.DataPoints, c.histogram(one))
		}
		m.Data = &metricspb.Metric_Histogram{Histogram: h}
	case dto.MetricType_SUMMARY:
		s := &metricspb.Summary{}
		for _, one := range f.GetMetric() {
			s.DataPoints = append(s.DataPoints, c.summary(one))
		}
		m.Data = &metricspb.Metric_Summary{Summary: s}
	default:
		return nil
	}
	return m
}

func (c converter) number(m *dto.Metric, value float64) *metricspb.NumberDataPoint {
	return &metricspb.NumberDataPoint{
		Attributes: labels(m), StartTimeUnixNano: c.start, TimeUnixNano: c.now,
		Value: &metricspb.NumberDataPoint_AsDouble{AsDouble: value},
	}
}

// histogram makes of Prometheus' buckets, each with what is below it, those of
// OTLP, each for itself.
func (c converter) histogram(m *dto.Metric) *metricspb.HistogramDataPoint {
	h := m.GetHistogram()
	sum := h.GetSampleSum()
	p := &metricspb.HistogramDataPoint{
		Attributes: labels(m), StartTimeUnixNano: c.start, TimeUnixNano: c.now, Count: h.GetSampleCount(), Sum: &sum,
	}
	below := uint64(0)
	for _, b := range h.GetBucket() {
		if math.IsInf(b.GetUpperBound(), 1) {
			continue
		}
		p.ExplicitBounds = append(p.ExplicitBounds, b.GetUpperBound())
		p.BucketCounts = append(p.BucketCounts, b.GetCumulativeCount()-below)
		below = b.GetCumulativeCount()
	}
	p.BucketCounts = append(p.BucketCounts, h.GetSampleCount()-below)
	return p
}

func (c converter) summary(m *dto.Metric) *metricspb.SummaryDataPoint {
	s := m.GetSummary()
	p := &metricspb.SummaryDataPoint{
		Attributes: labels(m), StartTimeUnixNano: c.start, TimeUnixNano: c.now, Count: s.GetSampleCount(), Sum: s.GetSampleSum(),
	}
	for _, q := range s.GetQuantile() {
		if !math.IsNaN(q.GetValue()) {
			p.QuantileValues = append(p.QuantileValues, &metricspb.SummaryDataPoint_ValueAtQuantile{Quantile: q.GetQuantile(), Value: q.GetValue()})
		}
	}
	return p
}

func labels(m *dto.Metric) []*commonpb.KeyValue {
	var out []*commonpb.KeyValue
	for _, l := range m.GetLabel() {
		out = append(out, text(l.GetName(), l.GetValue()))
	}
	return out
}

func text(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

// unitOf reads the unit from a name that follows Prometheus' conventions.
func unitOf(name string) string {
	name = strings.TrimSuffix(name, "_total")
	switch {
	case strings.HasSuffix(name, "_seconds"):
		return "s"
	case strings.HasSuffix(name, "_bytes"):
		return "By"
	}
	return ""
}
