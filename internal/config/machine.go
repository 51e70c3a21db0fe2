package config

import (
	"context"
	"net"
	"net/netip"
	"slices"
)

// machine answers questions about the addresses of this machine, each once.
type machine struct {
	ctx    context.Context
	opts   Options
	names  map[string][]netip.Addr
	local  []netip.Addr
	loaded bool
}

func (m *machine) resolve(host string) ([]netip.Addr, error) {
	if addrs, ok := m.names[host]; ok {
		return addrs, nil
	}
	lookup := m.opts.Resolve
	if lookup == nil {
		lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	addrs, err := lookup(m.ctx, host)
	if err != nil {
		return nil, err
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	m.names[host] = addrs
	return addrs, nil
}

// has says whether addr is an address of this machine. A machine that does
// not tell its addresses is believed to have every one: listening will show.
func (m *machine) has(addr netip.Addr) bool {
	if addr.IsLoopback() {
		return true
	}
	if !m.loaded {
		m.loaded = true
		list := m.opts.LocalAddrs
		if list == nil {
			list = interfaceAddrs
		}
		m.local, _ = list()
	}
	return len(m.local) == 0 || slices.Contains(m.local, addr.Unmap().WithZone(""))
}

func interfaceAddrs() ([]netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	var addrs []netip.Addr
	for _, a := range list {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			addrs = append(addrs, prefix.Addr().Unmap())
		}
	}
	return addrs, err
}
