package config

import (
	"context"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"
)

// lookupTimeout bounds the name lookups of one file.
const lookupTimeout = 5 * time.Second

// place is a normalised address: what is needed to tell whether two of them
// would be the same socket.
type place struct {
	listen Listen
	// who has the address, for errors.
	who       string
	connector string
	// addrs are the addresses behind a tcp host; none if it is unknown.
	addrs    []netip.Addr
	wildcard bool
	port     string
}

// addresses checks every address of the file against the machine and against
// each other.
func (r *report) addresses(f *File, opts Options) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	m := &machine{ctx: ctx, opts: opts, names: map[string][]netip.Addr{}}
	var places []place
	for i := range f.Services {
		s := &f.Services[i]
		for _, l := range s.Listen {
			p := r.place(m, l, "listenOn", mutualTLS(s))
			p.who, p.connector = "service "+quote(s.Name), s.Connector
			places = append(places, p)
			r.allowHere(s, p)
		}
	}
	if h := f.Admin.Health; h != nil && h.Network != "" {
		p := r.place(m, *h, "health", false)
		p.who = "admin.health"
		places = append(places, p)
	}
	if s := f.Admin.Socket; s != nil && s.Network != "" {
		places = append(places, place{listen: *s, who: "admin.socket"})
	}
	if l := f.Metrics.Listen; l != nil && l.Network != "" {
		p := r.place(m, *l, "metrics", false)
		p.who = "metrics.listen"
		places = append(places, p)
	}
	r.conflicts(places, opts)
}

func mutualTLS(s *Service) bool { return s.TLS != nil && s.TLS.ClientCA != "" }

// allowHere refuses allow where the peer's process cannot be known.
func (r *report) allowHere(s *Service, p place) {
	if s.Allow == nil || p.listen.Network != "tcp" || p.loopback() {
		return
	}
	r.errorf(p.listen.Pos, "allow of %s cannot hold for %s: processes on other machines are not known; listen on tcp://localhost:%s or a unix socket",
		"service "+quote(s.Name), quote(p.listen.String()), p.port)
}

func (p place) loopback() bool {
	return !p.wildcard && !slices.ContainsFunc(p.addrs, func(a netip.Addr) bool { return !a.IsLoopback() })
}

// place normalises an address and reports hosts that are not this machine.
func (r *report) place(m *machine, l Listen, key string, guarded bool) place {
	p := place{listen: l}
	if l.Network != "tcp" {
		return p
	}
	host, port, _ := net.SplitHostPort(l.Address)
	p.port = port
	if host == "localhost" {
		p.addrs = []netip.Addr{netip.IPv6Loopback(), netip.AddrFrom4([4]byte{127, 0, 0, 1})}
		return p
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		p.addrs = []netip.Addr{addr.Unmap()}
		p.wildcard = addr.Unmap().IsUnspecified()
		if !p.wildcard && !m.has(addr) {
			r.warnf(l.Pos, "%s %s is no address of this machine; listening there will fail", key, quote(l.String()))
		}
	} else if host == "" {
		p.wildcard = true
	} else {
		p.addrs = r.resolve(m, l, key, host)
	}
	r.warnReach(p, key, guarded)
	return p
}

// warnReach says who can use an address that is not for this machine alone.
func (r *report) warnReach(p place, key string, guarded bool) {
	if guarded || p.loopback() {
		return
	}
	through := "every interface"
	if !p.wildcard {
		through = "an address of the network"
	}
	use := "use the service without a credential of its own"
	switch key {
	case "health":
		use = "read the broker's health"
	case "metrics":
		use = "read the names of services and providers and how they are used"
	}
	r.warnf(p.listen.Pos, "%s listens on %s: any host that can reach this machine can %s; tcp://localhost:%s is for programs on this machine alone",
		p.listen, through, use, p.port)
}

func (r *report) resolve(m *machine, l Listen, key, host string) []netip.Addr {
	addrs, err := m.resolve(host)
	if err != nil {
		r.errorf(l.Pos, "%s %s: the host name cannot be looked up (%v); write localhost or an address", key, quote(l.String()), reason(err))
		return nil
	}
	for _, a := range addrs {
		if !m.has(a) {
			r.errorf(l.Pos, "%s %s: %s is %s, which is no address of this machine; write localhost or a local address", key, quote(l.String()), host, a)
			return nil
		}
	}
	return addrs
}

// reason shortens a resolver's error to what went wrong.
func reason(err error) string {
	text := err.Error()
	return strings.TrimSpace(text[strings.LastIndex(text, ": ")+1:])
}

// conflicts reports addresses that two services would both have to open.
func (r *report) conflicts(places []place, opts Options) {
	byPort := map[string][]place{} // only these can meet
	for _, p := range places {
		key := p.listen.Network + p.port
		if p.listen.Network != "tcp" {
			key = p.listen.Network + path.Clean(p.listen.Address)
		}
		for _, other := range byPort[key] {
			if p.meets(other) {
				r.conflict(other, p, opts)
				break
			}
		}
		byPort[key] = append(byPort[key], p)
	}
}

// meets is true where two places of the same network and port (or path) are
// the same socket to the kernel.
func (p place) meets(o place) bool {
	if p.listen.Network != "tcp" {
		return true
	}
	if p.port == "0" { // the system picks another one each time
		return false
	}
	if p.wildcard || o.wildcard || p.listen.Address == o.listen.Address {
		return true
	}
	return slices.ContainsFunc(p.addrs, func(a netip.Addr) bool { return slices.Contains(o.addrs, a) })
}

func (r *report) conflict(first, second place, opts Options) {
	pos := second.listen.Pos
	if first.who == second.who {
		r.errorf(pos, "%s has %s twice; the first is in line %d", second.who, second.listen, first.listen.Pos.Line)
		return
	}
	share := func(p place) bool {
		return p.connector != "" && opts.SharesListener != nil && opts.SharesListener(p.connector)
	}
	if first.connector == "" && first.listen.Pos == (Pos{}) || second.listen.Pos == (Pos{}) {
		r.defaultConflict(first, second)
		return
	}
	if !share(first) || !share(second) {
		r.errorf(pos, "%s listens on %s, which %s (line %d) has as %s; only HTTP connectors share an address, so pick another one",
			second.who, second.listen, first.who, first.listen.Pos.Line, first.listen)
		return
	}
	if first.listen.String() != second.listen.String() {
		r.errorf(pos, "%s and %s (line %d) share an address but spell it %s and %s; write the same in both",
			second.who, first.who, first.listen.Pos.Line, second.listen, first.listen)
	}
}

// defaultConflict is about the health address that nobody wrote down.
func (r *report) defaultConflict(first, second place) {
	r.errorf(first.listen.Pos, "%s listens on %s, which is the default of %s; pick another address, or set admin: {health: …}",
		first.who, first.listen, second.who)
}
