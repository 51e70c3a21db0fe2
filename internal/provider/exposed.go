package provider

import (
	"net/netip"
	"net/url"
	"strings"
)

// Exposed returns the host that what goes to the URL passes a network in the
// clear to: that of http to another machine. Otherwise it is empty. A provider
// warns of it when it is made, so that validate shows it.
func Exposed(text string) (host string) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || strings.EqualFold(u.Hostname(), "localhost") {
		return ""
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && ip.Unmap().IsLoopback() {
		return ""
	}
	return u.Host
}
