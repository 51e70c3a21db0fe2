package broker

import (
	"cmp"
	"slices"
	"sync/atomic"

	"secretless/internal/audit"
	"secretless/internal/connector"
	"secretless/internal/relay"
)

// counters belong to a service's name and survive its reloads.
type counters struct {
	active, handshakes             atomic.Int64
	accepted, established, refused atomic.Uint64
	failed, panics, unserved       atomic.Uint64
	toTarget, toClient             atomic.Int64
	kinds                          [connector.KindClientGone + 1]atomic.Uint64
	refusals                       [len(refusalReasons)]atomic.Uint64
	quiet                          limiter
	measures
}

// refusalReasons are why connections are refused.
var refusalReasons = [...]string{reasonPeer, reasonAudit, "limit"}

// RefusalReasons are the keys that Refusals can have.
func RefusalReasons() []string { return slices.Clone(refusalReasons[:]) }

// loggedEnds is how many refusals and failures of a service are logged in a
// logWindow.
const loggedEnds = 50

func newCounters() *counters { return &counters{quiet: limiter{burst: loggedEnds}} }

func (c *counters) count(o outcome, r relay.Result) {
	c.toTarget.Add(r.ToTarget)
	c.toClient.Add(r.ToClient)
	switch o.typ {
	case audit.Refused:
		c.refused.Add(1)
		if n := slices.Index(refusalReasons[:], o.reason); n >= 0 {
			c.refusals[n].Add(1)
		}
	case audit.Failed:
		c.failed.Add(1)
		if k := connector.KindOf(o.err); k >= 0 && int(k) < len(c.kinds) {
			c.kinds[k].Add(1)
		}
	}
}

// ServiceStatus is a service at one moment. The counts run from the first
// Apply that had a service of this name.
type ServiceStatus struct {
	Name      string `json:"name"`
	Connector string `json:"connector"`
	// Members are the services that share the address which Name is.
	Members []string `json:"members,omitempty"`
	// Listen is as configured; Addresses are the sockets behind it, with
	// their real ports. Both are empty for a service that only drains.
	Listen    []string `json:"listen,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
	// Active counts connections now, those in Handshakes and those that live
	// on from before a reload (Draining) included.
	Active     int64 `json:"active"`
	Handshakes int64 `json:"handshakes"`
	Draining   int   `json:"draining"`
	// Drained is true where an administrator has closed the listeners.
	Drained bool `json:"drained,omitempty"`
	// Accepted splits up into Refused, Failed, Established and, the rest,
	// probes that left without having asked for anything.
	Accepted    uint64 `json:"accepted"`
	Established uint64 `json:"established"`
	Refused     uint64 `json:"refused"`
	Failed      uint64 `json:"failed"`
	// Refusals splits Refused up: peer, limit, audit.
	Refusals map[string]uint64 `json:"refusals,omitempty"`
	// Failures splits Failed up by connector.Kind.
	Failures map[string]uint64 `json:"failures,omitempty"`
	Panics   uint64            `json:"panics"`
	// RequestsFailed counts requests on connections that were established, which
	// the broker could not serve though the client did nothing wrong.
	RequestsFailed uint64 `json:"requests_failed"`
	// Rotations counts cached credentials that a target refused and that were
	// fetched again; Uses those that a client had used, as an agent's keys.
	Rotations uint64 `json:"rotations"`
	Uses      uint64 `json:"uses"`
	// Suspended are the services, or members, whose credentials the target keeps
	// rejecting.
	Suspended []string `json:"suspended,omitempty"`
	// The bytes of connections that have ended, as in the audit; in Live also
	// of those that are open.
	BytesToTarget int64 `json:"bytes_to_target"`
	BytesToClient int64 `json:"bytes_to_client"`
}

// Status lists the services by name, those that only drain included.
func (b *Broker) Status() []ServiceStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	byName := map[string]*ServiceStatus{}
	for name, g := range b.services {
		byName[name] = g.status()
		for _, a := range g.svc.Listen {
			byName[name].Listen = append(byName[name].Listen, a.String())
		}
	}
	for name, g := range b.drained {
		byName[name] = g.status()
		byName[name].Drained = true
	}
	for _, e := range b.endpoints {
		s := byName[e.serves()]
		s.Addresses = append(s.Addresses, e.address)
	}
	for g := range b.draining {
		if byName[g.svc.Name] == nil {
			byName[g.svc.Name] = g.status()
		}
		byName[g.svc.Name].Draining += g.active()
	}
	out := make([]ServiceStatus, 0, len(byName))
	for _, s := range byName {
		slices.Sort(s.Addresses)
		out = append(out, *s)
	}
	slices.SortFunc(out, func(x, y ServiceStatus) int { return cmp.Compare(x.Name, y.Name) })
	return out
}

func (g *generation) status() *ServiceStatus {
	c := g.counters
	s := &ServiceStatus{
		Name: g.svc.Name, Connector: g.svc.Kind, Members: g.svc.Members,
		Active: c.active.Load(), Handshakes: c.handshakes.Load(),
		Accepted: c.accepted.Load(), Established: c.established.Load(), Refused: c.refused.Load(),
		Failed: c.failed.Load(), Panics: c.panics.Load(), RequestsFailed: c.unserved.Load(),
		BytesToTarget: c.toTarget.Load(), BytesToClient: c.toClient.Load(),
		Rotations: c.rotations.Load(), Uses: c.uses.Load(),
	}
	if suspender, ok := g.svc.Credentials.(interface{ Suspended() []string }); ok {
		s.Suspended = suspender.Suspended()
	}
	for n, reason := range refusalReasons {
		if count := c.refusals[n].Load(); count > 0 {
			if s.Refusals == nil {
				s.Refusals = map[string]uint64{}
			}
			s.Refusals[reason] = count
		}
	}
	for k := range c.kinds {
		if n := c.kinds[k].Load(); n > 0 {
			if s.Failures == nil {
				s.Failures = map[string]uint64{}
			}
			s.Failures[connector.Kind(k).String()] = n
		}
	}
	return s
}
