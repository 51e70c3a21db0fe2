package broker

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"secretless/internal/peer"
	"secretless/internal/relay"
)

// ConnectionState is what a connection is doing.
type ConnectionState string

// The states of a connection, in their order. A connection that its connector
// serves to the end is never relayed.
const (
	StateHandshake ConnectionState = "handshake"
	StateServing   ConnectionState = "serving"
	StateRelaying  ConnectionState = "relaying"
)

// ConnectionStatus is an open connection at one moment.
type ConnectionStatus struct {
	ID        uint64
	Service   string
	Connector string
	State     ConnectionState
	// Draining is true where the service has been stopped or replaced.
	Draining bool
	// Listener and Remote are the two ends of the client's socket.
	Listener, Remote string
	Peer             peer.Identity
	// Target is the address that was reached, empty before and where requests go
	// to several.
	Target string
	Since  time.Time
	// Idle is for how long nothing has passed, negative where nobody knows.
	Idle time.Duration
	// ToTarget and ToClient count bytes as audit.Event does.
	ToTarget, ToClient int64
}

// ConnectionQuery says which connections are asked for.
type ConnectionQuery struct {
	// Service is the name of a service, or of one that shares its address; empty
	// for all.
	Service string
	// After is the ID behind which the list begins, Limit how long it may be.
	After uint64
	Limit int
}

// Connections lists open connections by ID, and says how many there are beyond
// q's After and Limit. It costs those connections nothing that it does not list.
func (b *Broker) Connections(q ConnectionQuery) (list []ConnectionStatus, total int) {
	var found []*conn
	for _, g := range b.generations() {
		if q.Service == "" || q.Service == g.svc.Name || slices.Contains(g.svc.Members, q.Service) {
			g.each(func(c *conn) { found = append(found, c) })
		}
	}
	total = len(found)
	found = slices.DeleteFunc(found, func(c *conn) bool { return c.number() <= q.After })
	slices.SortFunc(found, func(x, y *conn) int { return cmp.Compare(x.number(), y.number()) })
	found = found[:min(len(found), max(q.Limit, 0))]
	return b.describe(found), total
}

// generations are all that have or may get connections.
func (b *Broker) generations() []*generation {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*generation, 0, len(b.services)+len(b.draining))
	for _, g := range b.services {
		all = append(all, g)
	}
	for g := range b.draining {
		all = append(all, g)
	}
	return all
}

// number is c's ID, zero for one that was accepted a moment ago.
func (c *conn) number() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

func (b *Broker) describe(conns []*conn) []ConnectionStatus {
	out := make([]ConnectionStatus, 0, len(conns))
	var handles []relay.Handle
	var at []int
	for n, c := range conns {
		s, handle := c.status()
		if b.identify && !s.Peer.Known {
			s.Peer = c.find()
		}
		out = append(out, s)
		if handle != nil {
			handles, at = append(handles, handle), append(at, n)
		}
	}
	if len(handles) == 0 {
		return out
	}
	for n, p := range b.relay.Look(handles, true) {
		s := &out[at[n]]
		s.Target, s.Idle = p.Target, p.Idle
		s.ToTarget, s.ToClient = s.ToTarget+p.ToTarget, s.ToClient+p.ToClient
	}
	return out
}

// find asks who has c's client socket, which is open as long as c is.
func (c *conn) find() peer.Identity {
	c.mu.Lock()
	client, to := c.from, cmp.Or(c.local, c.endpoint.address)
	c.mu.Unlock()
	if !client.IsValid() {
		return peer.Identity{} // a unix socket, or one that has just been accepted
	}
	server, err := netip.ParseAddrPort(to)
	if err != nil {
		return peer.Identity{}
	}
	id, _ := peer.Find(client, server)
	return id
}

// status is all that c knows itself; the relay knows the rest.
func (c *conn) status() (ConnectionStatus, relay.Handle) {
	c.gen.mu.Lock()
	draining := c.gen.draining
	c.gen.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := ConnectionStatus{
		ID: c.id, Service: c.gen.svc.Name, Connector: c.gen.svc.Kind, State: StateHandshake, Draining: draining,
		Listener: c.endpoint.address, Remote: c.remote(), Peer: c.peer, Since: c.since, Idle: -1,
	}
	switch {
	case c.handle != nil:
		s.State, s.ToTarget, s.ToClient = StateRelaying, c.served.toTarget, c.served.toClient
	case c.handshake != nil:
		passed := c.handshake.meter.result()
		s.ToTarget, s.ToClient, s.Idle = passed.ToTarget, passed.ToClient, c.handshake.meter.silence()
		if established, target := c.handshake.progress(); established {
			s.State, s.Target = StateServing, target
		}
	}
	return s, c.handle
}
