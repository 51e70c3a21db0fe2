package top

import (
	"cmp"
	"context"
	"slices"
	"time"

	"secretless/internal/admin"
	"secretless/internal/broker"
)

// Source is whom top asks: an admin.Client.
type Source interface {
	Status(context.Context) (admin.Status, error)
	Connections(ctx context.Context, service string, after uint64, limit int) (admin.Connections, error)
	Errors(context.Context) ([]admin.Entry, error)
	CloseConnection(ctx context.Context, id uint64) error
}

// sample is everything at one moment.
type sample struct {
	status      admin.Status
	connections admin.Connections
	errors      []admin.Entry
}

// take asks for the first page of connections only: a view shows no more.
func take(ctx context.Context, from Source) (*sample, error) {
	s := &sample{}
	var err error
	if s.status, err = from.Status(ctx); err != nil {
		return nil, err
	}
	if s.connections, err = from.Connections(ctx, "", 0, admin.MaxPage); err != nil {
		return nil, err
	}
	if s.errors, err = from.Errors(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// flow is what has happened in a second.
type flow struct{ accepted, failed, toTarget, toClient float64 }

// model is the newest sample beside the one before it.
type model struct {
	now      *sample
	services map[string]flow
	bytes    map[uint64]float64 // of connections, both ways
	total    flow
}

// next makes the model of s, which comes after before; before may be nil, and
// then there are no rates, as for another broker than before.
func next(before *model, s *sample) *model {
	m := &model{now: s, services: map[string]flow{}, bytes: map[uint64]float64{}}
	if before == nil || !before.now.status.Started.Equal(s.status.Started) {
		return m
	}
	seconds := s.status.Now.Sub(before.now.status.Now).Seconds()
	if seconds <= 0 {
		return m
	}
	old := map[string]broker.ServiceStatus{}
	for _, v := range before.now.status.Services {
		old[v.Name] = v
	}
	for _, v := range s.status.Services {
		was, known := old[v.Name]
		if !known {
			continue
		}
		f := flow{
			accepted: perSecond(v.Accepted, was.Accepted, seconds), failed: perSecond(v.Failed+v.RequestsFailed+v.Refused, was.Failed+was.RequestsFailed+was.Refused, seconds),
			toTarget: perSecond(v.BytesToTarget, was.BytesToTarget, seconds), toClient: perSecond(v.BytesToClient, was.BytesToClient, seconds),
		}
		m.services[v.Name] = f
		m.total.accepted += f.accepted
		m.total.failed += f.failed
		m.total.toTarget += f.toTarget
		m.total.toClient += f.toClient
	}
	moved := map[uint64]int64{}
	for _, c := range before.now.connections.Connections {
		moved[c.ID] = c.BytesToTarget + c.BytesToClient
	}
	for _, c := range s.connections.Connections {
		m.bytes[c.ID] = perSecond(c.BytesToTarget+c.BytesToClient, moved[c.ID], seconds)
	}
	return m
}

// perSecond is zero for a counter that has begun anew.
func perSecond[N int64 | uint64](now, was N, seconds float64) float64 {
	if now <= was {
		return 0
	}
	return float64(now-was) / seconds
}

// order is how connections are sorted.
type order int

const (
	byRate order = iota
	byBytes
	byIdle
	byAge
	orders
)

// String is the order's name in the heading.
func (o order) String() string {
	return [...]string{"rate", "bytes", "idle", "age"}[o]
}

// sorted lists the connections, the most interesting first.
func (m *model) sorted(by order) []admin.Connection {
	list := slices.Clone(m.now.connections.Connections)
	idle := func(c admin.Connection) float64 {
		if c.Idle == nil {
			return -1
		}
		return *c.Idle
	}
	slices.SortStableFunc(list, func(a, b admin.Connection) int {
		n := 0
		switch by {
		case byRate:
			n = cmp.Compare(m.bytes[b.ID], m.bytes[a.ID])
		case byBytes:
			n = cmp.Compare(b.BytesToTarget+b.BytesToClient, a.BytesToTarget+a.BytesToClient)
		case byIdle:
			n = cmp.Compare(idle(b), idle(a))
		}
		return cmp.Or(n, cmp.Compare(a.ID, b.ID)) // IDs grow with time
	})
	return list
}

func since(t *time.Time, now time.Time) string {
	if t == nil {
		return "-"
	}
	return Age(now.Sub(*t))
}
