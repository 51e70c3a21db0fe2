package metrics

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"secretless/internal/broker"
	"secretless/internal/connector"
	"secretless/internal/histogram"
	"secretless/internal/provider"
)

// collector reads the sources when it is asked.
type collector struct {
	sources  Sources
	families map[id]family
	descs    map[id]*prometheus.Desc
}

func newCollector(s Sources) collector {
	c := collector{sources: s, families: families(), descs: map[id]*prometheus.Desc{}}
	for id, f := range c.families {
		c.descs[id] = prometheus.NewDesc(f.name, f.help, f.labels, nil)
	}
	return c
}

// Describe names every metric.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect reads them all.
func (c collector) Collect(out chan<- prometheus.Metric) {
	e := emitter{collector: c, out: out}
	e.number(buildInfo, 1, c.sources.Version)
	if c.sources.Ready != nil {
		e.number(ready, truth(c.sources.Ready()))
	}
	if c.sources.Services != nil {
		for _, m := range c.sources.Services() {
			e.service(m)
		}
	}
	if c.sources.Providers != nil {
		for _, i := range c.sources.Providers() {
			e.provider(i.Name(), i.Stats())
		}
	}
	if c.sources.Reloads != nil {
		e.reloads(c.sources.Reloads())
	}
	if c.sources.AuditLost != nil {
		e.number(auditLost, float64(c.sources.AuditLost()))
	}
	if c.sources.Exports != nil {
		e.exports()
	}
}

// emitter is one collection.
type emitter struct {
	collector
	out chan<- prometheus.Metric
}

func (e emitter) number(id id, value float64, labels ...string) {
	m, err := prometheus.NewConstMetric(e.descs[id], e.families[id].kind, value, labels...)
	e.emit(id, m, err)
}

func (e emitter) count(id id, value uint64, labels ...string) {
	e.number(id, float64(value), labels...)
}

func (e emitter) durations(id id, s histogram.Snapshot, labels ...string) {
	m, err := prometheus.NewConstHistogram(e.descs[id], s.Count, s.Sum, s.Buckets, labels...)
	e.emit(id, m, err)
}

// emit makes a mistake one line of a scrape's error, not a panic.
func (e emitter) emit(id id, m prometheus.Metric, err error) {
	if err != nil {
		m = prometheus.NewInvalidMetric(e.descs[id], err)
	}
	e.out <- m
}

func (e emitter) service(m broker.Measurement) {
	name, kind := m.Name, m.Connector
	e.number(connOpen, float64(m.Active), name, kind)
	e.number(connHandshaking, float64(m.Handshakes), name, kind)
	e.number(connDraining, float64(m.Draining), name, kind)
	e.count(connAccepted, m.Accepted, name, kind)
	e.count(connEstablished, m.Established, name, kind)
	for _, reason := range broker.RefusalReasons() {
		e.count(connRefused, m.Refusals[reason], name, kind, reason)
	}
	for k := connector.KindInternal; k <= connector.KindClientGone; k++ {
		e.count(connFailed, m.Failures[k.String()], name, kind, k.String())
	}
	e.number(connBytes, float64(m.BytesToTarget), name, kind, "to_target")
	e.number(connBytes, float64(m.BytesToClient), name, kind, "to_client")
	e.durations(handshakeTime, m.HandshakeTimes, name, kind)
	for _, s := range m.Stages {
		e.durations(stageTime, s.Times, name, kind, s.Stage.String())
		e.count(stageFailed, s.Failed, name, kind, s.Stage.String())
	}
	e.count(rotations, m.Rotations, name, kind)
	e.count(uses, m.Uses, name, kind)
	e.count(panics, m.Panics, name, kind)
	if len(m.Requests) > 0 {
		e.count(httpFailed, m.RequestsFailed, name, kind)
	}
	for _, one := range append([]string{name}, m.Members...) {
		e.number(suspended, truth(slices.Contains(m.Suspended, one)), one)
	}
	for _, r := range m.Requests {
		for class, n := range r.Answers {
			e.count(httpRequests, n, r.Service, r.Connector, class)
		}
		e.durations(httpTime, r.Times, r.Service, r.Connector)
	}
}

func (e emitter) provider(name string, s provider.Stats) {
	for id, n := range map[id]uint64{
		lookups: s.Lookups, lookupFailures: s.Failures, cacheHits: s.Hits, cacheMisses: s.Misses,
		stale: s.Stale, leasesExpired: s.LeasesExpired, providerPanics: s.Panics,
		cacheEntries: uint64(s.Cached), stuck: uint64(s.Stuck),
	} {
		e.count(id, n, name)
	}
	e.durations(lookupTime, s.Times, name)
	e.number(providerDown, truth(s.Down), name)
	e.moment(leaseEnd, s.LeaseEnd, name)
	e.moment(lastAnswer, s.Answered, name)
}

func (e emitter) reloads(r Reloads) {
	e.number(reloads, float64(r.Succeeded), "success")
	e.number(reloads, float64(r.Failed), "failure")
	e.number(reloadOK, truth(!r.LastFailed))
	e.moment(reloadLastSuccess, r.LastSuccess)
	e.number(reloadTook, r.Took.Seconds())
}

func (e emitter) exports() {
	s := e.sources.Exports()
	for signal, n := range s.Sent {
		e.count(exports, n, signal, "success")
	}
	for signal, n := range s.Failed {
		e.count(exports, n, signal, "failure")
	}
	for signal, n := range s.Rejected {
		e.count(rejected, n, signal)
	}
	e.count(spans, s.Spans)
	e.count(spansDropped, s.Dropped)
}

// moment is a time, absent if it has not come.
func (e emitter) moment(id id, t time.Time, labels ...string) {
	if !t.IsZero() {
		e.number(id, float64(t.UnixMilli())/1000, labels...)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
