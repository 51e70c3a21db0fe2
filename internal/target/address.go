// Package target dials the services behind the broker and sets up TLS to them,
// once for all connectors.
package target

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// Address is where a target listens: host and port over TCP, or the path of a
// unix socket.
type Address struct {
	// Host is a name, an IP literal without brackets, or the absolute path of
	// a unix socket.
	Host string
	// Port is unused for unix sockets.
	Port int
}

// ParseAddress makes an Address of two credentials. An IPv6 literal may stand
// in brackets; an empty port is defaultPort. Its errors name the value: host
// and port are no secrets.
func ParseAddress(host, port string, defaultPort int) (Address, error) {
	number := defaultPort
	if port != "" {
		var err error
		if number, err = ParsePort(port); err != nil {
			return Address{}, err
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		if !ok || !strings.Contains(inner, ":") {
			return Address{}, fmt.Errorf("host %q is no IPv6 address in brackets", host)
		}
		host = inner
	}
	if err := checkHost(host); err != nil {
		return Address{}, err
	}
	return Address{Host: host, Port: number}, nil
}

func checkHost(host string) error {
	switch {
	case host == "":
		return errors.New("host is empty")
	case filepath.IsAbs(host) || host[0] == '/':
		return nil
	case strings.ContainsAny(host, "/\\[] \t\r\n\x00"):
		return fmt.Errorf("host %q is neither a name, an IP address nor an absolute socket path", host)
	case strings.Contains(host, ":") && !isIP(host):
		return fmt.Errorf("host %q holds a colon but is no IPv6 address; a port goes into port", host)
	}
	return nil
}

// isIP says whether host is an IP literal, with or without a zone.
func isIP(host string) bool {
	address, _, _ := strings.Cut(host, "%")
	return net.ParseIP(address) != nil
}

// ParsePort reads a port number.
func ParsePort(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("port %q is no number from 1 to 65535", text)
	}
	return int(n), nil
}

// Unix says whether the target listens on a unix socket.
func (a Address) Unix() bool { return filepath.IsAbs(a.Host) || strings.HasPrefix(a.Host, "/") }

// Network is "unix" or "tcp", for package net.
func (a Address) Network() string {
	if a.Unix() {
		return "unix"
	}
	return "tcp"
}

// String is host:port, IPv6 in brackets, or the socket's path.
func (a Address) String() string {
	if a.Unix() {
		return a.Host
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
}
