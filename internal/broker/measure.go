package broker

import (
	"cmp"
	"maps"
	"slices"

	"secretless/internal/histogram"
	"secretless/internal/stage"
)

// Measurement is a service at one moment with how long things took. Like the
// counts of its status, those of a service that is gone are gone.
type Measurement struct {
	ServiceStatus
	// HandshakeTimes are from accept to the point where client and target are
	// connected, of connections that came so far.
	HandshakeTimes histogram.Snapshot
	Stages         []StageMeasurement
	// Requests are those of connectors that serve many on a connection, by
	// service.
	Requests []RequestMeasurement
}

// StageMeasurement is about one of the stages.
type StageMeasurement struct {
	Stage  stage.Stage
	Times  histogram.Snapshot // of those that succeeded
	Failed uint64
}

// RequestMeasurement is about the requests for one service.
type RequestMeasurement struct {
	Service, Connector string
	Times              histogram.Snapshot
	// Answers counts by class of status: 2xx, …, and none.
	Answers map[string]uint64
}

// Measure lists the services of Live.
func (b *Broker) Measure() []Measurement {
	list := b.Live()
	b.mu.Lock()
	defer b.mu.Unlock()
	byName := map[string]*generation{}
	for g := range b.draining {
		byName[g.svc.Name] = g
	}
	for _, m := range []map[string]*generation{b.drained, b.services} {
		maps.Copy(byName, m)
	}
	var out []Measurement
	for _, s := range list {
		if g := byName[s.Name]; g != nil { // gone since
			out = append(out, g.measure(s))
		}
	}
	return out
}

func (g *generation) measure(s ServiceStatus) Measurement {
	c := g.counters
	m := Measurement{ServiceStatus: s, HandshakeTimes: c.measures.handshakes.Snapshot()}
	for n := range c.stages {
		m.Stages = append(m.Stages, StageMeasurement{stage.Stage(n), c.stages[n].took.Snapshot(), c.stages[n].failed.Load()})
	}
	c.requests.Range(func(key, value any) bool {
		name, r := key.(string), value.(*requests)
		if name != s.Name && !slices.Contains(s.Members, name) {
			c.requests.Delete(key) // a member that a reload has taken away
			return true
		}
		one := RequestMeasurement{Service: name, Connector: *r.connector.Load(), Times: r.took.Snapshot(), Answers: map[string]uint64{}}
		for n, class := range statusClasses {
			one.Answers[class] = r.classes[n].Load()
		}
		m.Requests = append(m.Requests, one)
		return true
	})
	slices.SortFunc(m.Requests, func(x, y RequestMeasurement) int { return cmp.Compare(x.Service, y.Service) })
	return m
}
