package localca

import (
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// nowhere is a domain that cannot exist (RFC 2606). A certificate that names
// it as the only permitted one vouches for no domain at all; leaving the list
// empty would mean every domain.
const nowhere = "secretless.invalid"

// Scope is what an authority may vouch for.
type Scope struct {
	// Hosts are names (with everything below them), *.names and addresses.
	Hosts []string
	// Everything lifts the restriction. Hosts are then for nobody.
	Everything bool
}

// NewScope brings hosts into one form and order, so that scopes compare.
func NewScope(hosts []string) Scope {
	var clean []string
	for _, h := range hosts {
		clean = append(clean, canonical(h))
	}
	slices.Sort(clean)
	return Scope{Hosts: slices.Compact(clean)}
}

// canonical is a host as certificates spell it.
func canonical(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().WithZone("").String()
	}
	return host
}

// restrict writes the scope into a template as name constraints (RFC 5280,
// 4.2.1.10). A kind of name that the scope does not speak of is forbidden.
func (s Scope) restrict(t *x509.Certificate) {
	if s.Everything {
		return
	}
	t.PermittedDNSDomainsCritical = true
	for _, h := range s.Hosts {
		if a, err := netip.ParseAddr(h); err == nil {
			t.PermittedIPRanges = append(t.PermittedIPRanges, &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())})
		} else {
			t.PermittedDNSDomains = append(t.PermittedDNSDomains, strings.TrimPrefix(h, "*."))
		}
	}
	if len(t.PermittedDNSDomains) == 0 {
		t.PermittedDNSDomains = []string{nowhere}
	}
	if len(t.PermittedIPRanges) == 0 {
		t.ExcludedIPRanges = []*net.IPNet{
			{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)},
			{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
		}
	}
	t.PermittedEmailAddresses = []string{nowhere}
	t.PermittedURIDomains = []string{nowhere}
}

// scopeOf reads the scope back from a certificate.
func scopeOf(cert *x509.Certificate) Scope {
	if !cert.PermittedDNSDomainsCritical && len(cert.PermittedDNSDomains) == 0 {
		return Scope{Everything: true}
	}
	var s Scope
	for _, d := range cert.PermittedDNSDomains {
		if d != nowhere {
			s.Hosts = append(s.Hosts, d)
		}
	}
	for _, n := range cert.PermittedIPRanges {
		if a, ok := netip.AddrFromSlice(n.IP); ok {
			s.Hosts = append(s.Hosts, a.Unmap().String())
		}
	}
	slices.Sort(s.Hosts)
	return s
}

// Covers tells whether the scope holds a host, or all that *.name stands for.
func (s Scope) Covers(host string) bool {
	if s.Everything {
		return true
	}
	host = strings.TrimPrefix(canonical(host), "*.")
	return slices.ContainsFunc(s.Hosts, func(h string) bool {
		if _, err := netip.ParseAddr(h); err == nil {
			return h == host
		}
		h = strings.TrimPrefix(h, "*.")
		return host == h || strings.HasSuffix(host, "."+h)
	})
}

// Equal compares scopes that were made by NewScope or read from certificates.
func (s Scope) Equal(o Scope) bool {
	return s.Everything == o.Everything && slices.Equal(s.Hosts, o.Hosts)
}
