package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

const resolveTimeout = 5 * time.Second

func unsupported(network, address string) string {
	switch network {
	case "unix":
		return ""
	case "tcp", "tcp4", "tcp6":
		if reason := notLoopback(address); reason != "" {
			return reason
		}
		return noDiag()
	}
	return fmt.Sprintf("%q is neither tcp nor unix", network)
}

// notLoopback says why address is open to more than this machine.
func notLoopback(address string) string {
	const advice = "; listen on 127.0.0.1, [::1] or a unix socket, or remove allow"
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err.Error()
	}
	if host == "" {
		return "without a host it is open to other machines, whose processes the broker cannot see" + advice
	}
	addrs, err := addresses(host)
	if err != nil {
		return err.Error()
	}
	for _, a := range addrs {
		if !a.Unmap().IsLoopback() {
			return fmt.Sprintf("%v is not a loopback address, it is open to other machines, whose processes the broker cannot see%s", a, advice)
		}
	}
	return ""
}

func addresses(host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return []netip.Addr{a}, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err == nil && len(addrs) == 0 {
		err = fmt.Errorf("%s has no address", host)
	}
	return addrs, err
}

// noDiag asks for a socket that cannot exist, to see whether the kernel
// answers such questions at all.
func noDiag() string {
	nowhere := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
	if _, err := findSocket(nowhere, nowhere); !errors.Is(err, errClientGone) {
		return fmt.Sprintf("the kernel does not tell whose a TCP socket is: %v (it needs inet_diag and tcp_diag, and a sandbox may forbid netlink); use a unix socket", err)
	}
	return ""
}
