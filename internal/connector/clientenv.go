package connector

import (
	"fmt"
	"net"
)

// Endpoint is an address of a service, as local clients reach it.
type Endpoint struct {
	Network string // "tcp" or "unix"
	// Address is host:port or a path; the host is one that can be connected to.
	Address string
	// TLS is true where clients must speak it.
	TLS bool
}

// Variable is an environment variable of a client. Its value is no secret.
type Variable struct{ Name, Value string }

// HostPort takes a TCP address apart. The error says that clients of what
// cannot be told of another.
func (e Endpoint) HostPort(what string) (host, port string, err error) {
	if e.Network != "tcp" {
		return "", "", fmt.Errorf("%s need a tcp:// address; this service listens on %s://%s only", what, e.Network, e.Address)
	}
	return net.SplitHostPort(e.Address)
}
