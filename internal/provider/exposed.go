package provider

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// WarnExposed warns, at loading and validation, where what is sent to the
// address and comes back passes a network in the clear: http to another machine.
// whose is the server, path the setting of the address.
func WarnExposed(s Setup, whose, address string, path ...string) {
	if host := exposed(address); host != "" && s.Warn != nil {
		s.Warn(fmt.Sprintf("%s at %s is asked without TLS: who can listen gets credentials and secrets; use https", whose, host), path...)
	}
}

// exposed is the host of such an address.
func exposed(address string) (host string) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || strings.EqualFold(u.Hostname(), "localhost") {
		return ""
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && ip.Unmap().IsLoopback() {
		return ""
	}
	return u.Host
}
