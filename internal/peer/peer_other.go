//go:build !linux

package peer

import (
	"net"
	"net/netip"
	"runtime"
)

// scanner has no work here; see the Linux implementation.
type scanner struct{}

func identify(net.Conn) (Identity, error) { return Identity{}, nil }

func glance(net.Conn) Identity { return Identity{} }

func find(_, _ netip.AddrPort) (Identity, error) { return Identity{}, nil }

func (p *Policy) check(net.Conn) (Identity, string) { return Identity{}, noPlatform() }

func unsupported(_, _ string) string { return noPlatform() }

func noPlatform() string {
	return "on " + runtime.GOOS + " the broker cannot tell which process connects; remove allow, or run the broker on Linux"
}
