package broker

import "secretless/internal/relay"

// passed is what finish will count of c at least, were it to end now.
func (c *conn) passed() (moved, relay.Handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handle == nil && c.handshake != nil {
		r := c.handshake.passed()
		return moved{r.ToTarget, r.ToClient}, nil
	}
	return c.served, c.handle
}

// Live is Status with the bytes of the connections that are open as well, so
// that the sums only grow.
func (b *Broker) Live() []ServiceStatus {
	open := map[*conn]moved{}
	var relayed []*conn
	var handles []relay.Handle
	for _, g := range b.generations() {
		g.each(func(c *conn) {
			m, handle := c.passed()
			open[c] = m
			if handle != nil {
				relayed, handles = append(relayed, c), append(handles, handle)
			}
		})
	}
	for n, p := range b.relay.Look(handles, false) {
		c := relayed[n]
		open[c] = moved{open[c].toTarget + p.ToTarget, open[c].toClient + p.ToClient}
	}
	list := b.Status()
	sums := b.sums(open)
	for n := range list {
		if m, ok := sums[list[n].Name]; ok {
			list[n].BytesToTarget, list[n].BytesToClient = m.toTarget, m.toClient
		}
	}
	return list
}

// sums adds what is counted by name of service to what is open, in one step for
// the name: a connection that ends meanwhile is in one of the two.
func (b *Broker) sums(open map[*conn]moved) map[string]moved {
	byName := map[string][]*generation{}
	for _, g := range b.generations() {
		byName[g.svc.Name] = append(byName[g.svc.Name], g)
	}
	// Nothing else holds the locks of several generations.
	b.live.Lock()
	defer b.live.Unlock()
	out := map[string]moved{}
	for name, all := range byName {
		out[name] = sum(all, open)
	}
	return out
}

func sum(all []*generation, open map[*conn]moved) moved {
	for _, g := range all {
		g.mu.Lock()
		defer g.mu.Unlock()
	}
	c := all[0].counters // of all
	s := moved{c.toTarget.Load(), c.toClient.Load()}
	for _, g := range all {
		for conn := range g.conns {
			s.toTarget, s.toClient = s.toTarget+open[conn].toTarget, s.toClient+open[conn].toClient
		}
	}
	return s
}
