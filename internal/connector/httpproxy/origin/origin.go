// Package origin says where an HTTP request goes: scheme, host and port in one
// spelling only, so that what is compared, dialled, verified and named in a
// certificate is the same thing. Spellings that two programs could read in two
// ways are refused rather than guessed at.
package origin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Origin is a normalised scheme, host and port (RFC 6454). The zero Origin is
// no destination. Origins are comparable.
type Origin struct {
	scheme, host string
	port         uint16
	authority    string // of the others
}

// Parse normalises the scheme and authority of a URL, as they stand in a
// request: host[:port], the host a name or an IP address, an IPv6 address in
// brackets. An absent port is the scheme's.
func Parse(scheme, authority string) (Origin, error) {
	o := Origin{scheme: strings.ToLower(scheme)}
	if o.scheme != "http" && o.scheme != "https" {
		return Origin{}, fmt.Errorf("scheme %s is not http or https", show(scheme))
	}
	host, port, err := split(authority)
	if err != nil {
		return Origin{}, fmt.Errorf("%s is no host: %w", show(authority), err)
	}
	if o.host, err = Host(host); err != nil {
		return Origin{}, fmt.Errorf("%s is no host: %w", show(authority), err)
	}
	o.port = defaultPort(o.scheme)
	if port != "" {
		if o.port, err = parsePort(port); err != nil {
			return Origin{}, fmt.Errorf("%s: %w", show(authority), err)
		}
	}
	o.authority = o.makeAuthority()
	return o, nil
}

// split takes an authority apart; an IPv6 host keeps its brackets.
func split(authority string) (host, port string, err error) {
	if strings.Contains(authority, "@") {
		return "", "", errors.New("user information (user@host) is not accepted")
	}
	if strings.HasPrefix(authority, "[") {
		end := strings.IndexByte(authority, ']')
		if end < 0 {
			return "", "", errors.New("the bracket is not closed")
		}
		host, rest := authority[:end+1], authority[end+1:]
		if rest == "" {
			return host, "", nil
		}
		port, ok := strings.CutPrefix(rest, ":")
		if !ok {
			return "", "", errors.New("only :port may follow the bracket")
		}
		return host, port, nil
	}
	host, port, _ = strings.Cut(authority, ":")
	if strings.Contains(port, ":") {
		return "", "", errors.New("an IPv6 address stands in brackets")
	}
	return host, port, nil
}

func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || text[0] == '0' {
		return 0, fmt.Errorf("port %s is no number from 1 to 65535", show(text))
	}
	return uint16(n), nil
}

func defaultPort(scheme string) uint16 {
	if scheme == "https" {
		return 443
	}
	return 80
}

// Scheme is "http" or "https".
func (o Origin) Scheme() string { return o.scheme }

// Secure says whether the scheme is https.
func (o Origin) Secure() bool { return o.scheme == "https" }

// Host is the name in lower case, in its ASCII form and without a final dot,
// or the canonical IP address without brackets.
func (o Origin) Host() string { return o.host }

// Port is never zero.
func (o Origin) Port() uint16 { return o.port }

// IsZero says whether o is no destination.
func (o Origin) IsZero() bool { return o.host == "" }

// IP is the host where it is an address.
func (o Origin) IP() (netip.Addr, bool) {
	a, err := netip.ParseAddr(o.host)
	return a, err == nil
}

// Address is host:port for package net.
func (o Origin) Address() string {
	if o.port != defaultPort(o.scheme) {
		return o.authority
	}
	return o.address()
}

func (o Origin) address() string { return net.JoinHostPort(o.host, strconv.Itoa(int(o.port))) }

// Authority is host[:port] as a Host header has it: without a default port.
func (o Origin) Authority() string { return o.authority }

func (o Origin) makeAuthority() string {
	if o.port != defaultPort(o.scheme) {
		return o.address()
	}
	if strings.Contains(o.host, ":") {
		return "[" + o.host + "]"
	}
	return o.host
}

// String is scheme://authority.
func (o Origin) String() string { return o.scheme + "://" + o.Authority() }

// WithScheme is o under another scheme. A default port follows the scheme.
func (o Origin) WithScheme(scheme string) Origin {
	if o.port == defaultPort(o.scheme) {
		o.port = defaultPort(scheme)
	}
	o.scheme = scheme
	o.authority = o.makeAuthority()
	return o
}

// show quotes what a client has sent, bounded.
func show(text string) string {
	const longest = 80
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return strconv.Quote(text)
}
