package broker

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
)

// socket is one address of a service, and the sockets behind it.
// tcp://localhost has two, so that a client reaches the broker whichever
// family it tries first, and nobody else under the other one.
type socket struct {
	written Address
	binds   []bind
}

// bind is one socket to bind: a host and port, a path, or systemd's name.
type bind struct {
	key        string // of the endpoint
	host, port string // tcp
	name       string // unix, systemd
	optional   bool   // the machine may lack that address
}

// without leaves out what found already has. A port that the system chose is
// one for all of the address's sockets: with one of them carried over there is
// nothing left to open.
func (s socket) without(found []*endpoint) socket {
	rest := socket{written: s.written}
	for _, b := range s.binds {
		have := slices.ContainsFunc(found, func(e *endpoint) bool { return e.key == b.key })
		if !have && (len(found) == 0 || b.port != "0") {
			rest.binds = append(rest.binds, b)
		}
	}
	return rest
}

// planSockets lays out the addresses of all services by their name. Two
// services cannot share a name or a socket; those that
// can share one are members of a single Service by the time they come here.
func planSockets(services []*Service) (map[string][]socket, error) {
	plans := make(map[string][]socket, len(services))
	taken := map[string]string{}
	var errs []error
	for _, svc := range services {
		if _, dup := plans[svc.Name]; dup {
			errs = append(errs, fmt.Errorf("service %q is there twice", svc.Name))
			continue
		}
		plans[svc.Name] = nil
		if len(svc.Listen) == 0 {
			errs = append(errs, fmt.Errorf("service %q has no address to listen on", svc.Name))
		}
		for _, a := range svc.Listen {
			binds, err := bindsOf(a, svc.Name)
			if err != nil {
				errs = append(errs, fmt.Errorf("service %q: cannot listen on %s: %w", svc.Name, a, err))
				continue
			}
			plans[svc.Name] = append(plans[svc.Name], socket{a, binds})
			for _, b := range binds {
				if other, dup := taken[b.key]; dup {
					errs = append(errs, fmt.Errorf("service %q: %s is taken by service %q: give each its own address", svc.Name, a, other))
				}
				taken[b.key] = svc.Name
			}
		}
	}
	return plans, errors.Join(errs...)
}

// bindsOf says what to bind for a. Keys are equal for equal sockets however
// written; a port that the system chooses belongs to its service.
func bindsOf(a Address, service string) ([]bind, error) {
	switch a.Network {
	case "unix":
		if !filepath.IsAbs(a.Address) || strings.ContainsRune(a.Address, 0) {
			return nil, errors.New("the path must be absolute")
		}
		path := filepath.Clean(a.Address)
		return []bind{{key: "unix " + path, name: path}}, nil
	case "systemd":
		return []bind{{key: "systemd " + a.Address, name: a.Address}}, nil
	case "tcp":
		host, port, err := net.SplitHostPort(a.Address)
		if err != nil {
			return nil, fmt.Errorf("not a host:port: %w", err)
		}
		suffix := ""
		if port == "0" {
			suffix = " " + service
		}
		var binds []bind
		for i, h := range hosts(host) {
			binds = append(binds, bind{
				key: "tcp " + net.JoinHostPort(h, port) + suffix, host: h, port: port, optional: i > 0,
			})
		}
		return binds, nil
	}
	return nil, fmt.Errorf("unknown network %q: use tcp, unix or systemd", a.Network)
}

// hosts are the addresses to bind for host; the first must work.
func hosts(host string) []string {
	switch host = strings.ToLower(host); host {
	case "localhost":
		return []string{"127.0.0.1", "::1"}
	case "0.0.0.0", "::":
		return []string{""}
	}
	return []string{host}
}
