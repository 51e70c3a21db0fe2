package httpproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/sockio"
	watch "secretless/internal/stage"
)

// guard decides about the very address that is about to be dialled, after name
// resolution: what a name means is asked once, and the answer is what is used,
// so that a name server cannot change its mind in between (DNS rebinding).
type guard struct {
	// named are IP addresses that a service names, which lifts the rules.
	named []netip.Addr
	// noLoopback refuses this machine.
	noLoopback bool
	// proxies are host:port that are not targets but upstream proxies.
	proxies []string
}

// forbiddenError is why an address is not dialled.
type forbiddenError struct {
	addr netip.Addr
	why  string
}

func (e *forbiddenError) Error() string {
	return fmt.Sprintf("the address %s is %s", e.addr, e.why)
}

// metadata are addresses where clouds tell machines their secrets, other than
// link-local ones.
func metadata() []netip.Addr {
	return []netip.Addr{
		netip.MustParseAddr("fd00:ec2::254"),   // AWS
		netip.MustParseAddr("fd20:ce::254"),    // Google Cloud
		netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
		netip.MustParseAddr("168.63.129.16"),   // Azure
		netip.MustParseAddr("192.0.0.192"),     // Oracle Cloud
	}
}

// check refuses an address; localOnly demands this machine.
func (g *guard) check(addr netip.Addr, localOnly bool) error {
	addr = embedded(addr)
	switch {
	case slices.Contains(g.named, addr):
		return nil
	case addr.Zone() != "" || addr.IsLinkLocalUnicast():
		return &forbiddenError{addr, "link-local, where cloud metadata services are; a service must name it in hosts to reach it"}
	case slices.Contains(metadata(), addr):
		return &forbiddenError{addr, "a cloud metadata service; a service must name it in hosts to reach it"}
	case addr.IsUnspecified() || addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return &forbiddenError{addr, "not the address of a machine"}
	case localOnly && !addr.IsLoopback():
		return &forbiddenError{addr, "not on this machine, as localhost must be"}
	case g.noLoopback && addr.IsLoopback():
		return &forbiddenError{addr, "the broker's own machine, which requests without a service reach only from there"}
	}
	return nil
}

// embedded takes IPv4 addresses out of the IPv6 addresses that carry them:
// mapped ones, and those of NAT64 (RFC 6052).
func embedded(addr netip.Addr) netip.Addr {
	addr = addr.Unmap()
	if b := addr.As16(); addr.Is6() && netip.MustParsePrefix("64:ff9b::/96").Contains(addr.WithZone("")) {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr
}

// dial connects to address, host:port.
func (g *guard) dial(ctx context.Context, network, address string, timeout time.Duration) (net.Conn, error) {
	dialer := net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second}
	if !slices.Contains(g.proxies, address) {
		host, _, _ := net.SplitHostPort(address)
		localOnly := isLocalName(host)
		dialer.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(resolved)
			if err != nil {
				return err
			}
			return g.check(at.Addr(), localOnly)
		}
	}
	ctx, end := watch.Begin(ctx, watch.Dial, address)
	conn, err := dialer.DialContext(ctx, network, address)
	end(err)
	if err != nil {
		return nil, err
	}
	return sockio.Conn(conn), nil
}

// checkLiteral is for requests that an upstream proxy resolves and dials: what
// can be checked is an address that the URL itself names.
func (g *guard) checkLiteral(o origin.Origin) error {
	if addr, ok := o.IP(); ok {
		return g.check(addr, false)
	}
	return nil
}

func isLocalName(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// isLocal says whether o is this machine by its own name, so that what is sent
// there unencrypted stays here; the guard holds it to that.
func isLocal(o origin.Origin) bool {
	if addr, ok := o.IP(); ok {
		return addr.IsLoopback()
	}
	return isLocalName(o.Host())
}

func forbidden(err error) *forbiddenError {
	f, _ := errors.AsType[*forbiddenError](err)
	return f
}
