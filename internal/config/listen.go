package config

import (
	"errors"
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"
	"unicode"
)

// maxSocketPath is the longest path that Linux takes for a unix socket.
const maxSocketPath = 107

// ParseListen reads one address of listenOn. Its error continues a sentence
// that begins with what was read.
func ParseListen(text string) (Listen, error) {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return Listen{}, errors.New("has a control character")
	}
	network, address, ok := strings.Cut(text, "://")
	if !ok {
		return Listen{}, withoutScheme(text)
	}
	l := Listen{Network: network, Address: address}
	switch network {
	case "tcp":
		return l, checkHostPort(address)
	case "unix":
		return l, checkSocketPath(address)
	case "systemd":
		if address == "" {
			return l, errors.New("lacks the name of the descriptor: write systemd://name, as FileDescriptorName= of the socket unit says")
		}
		return l, nil
	}
	return l, fmt.Errorf("has the unknown scheme %s%s; write tcp://host:port, unix:///path or systemd://name",
		quote(network), DidYouMean(network, []string{"tcp", "unix", "systemd"}))
}

// withoutScheme guesses what an address without :// was meant to be.
func withoutScheme(text string) error {
	rest := strings.TrimPrefix(strings.TrimPrefix(text, "unix:"), "tcp:")
	switch {
	case text == "":
		return errors.New("is empty; write tcp://host:port, unix:///path or systemd://name")
	case strings.HasPrefix(rest, "/"):
		return fmt.Errorf("lacks the scheme: write %s", quote("unix://"+rest))
	case checkHostPort(rest) == nil:
		return fmt.Errorf("lacks the scheme: write %s", quote("tcp://"+rest))
	}
	return errors.New("lacks the scheme: write tcp://host:port, unix:///path or systemd://name")
}

func checkHostPort(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		if strings.Count(address, ":") > 1 {
			return errors.New("must be tcp://host:port, with an IPv6 address in brackets: tcp://[::1]:5432")
		}
		return errors.New("lacks the port: write tcp://host:port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("has the port %s, which is not a number from 0 to 65535", quote(port))
	}
	if strings.ContainsAny(host, "/@?# ") {
		return fmt.Errorf("has the host %s, which is neither a name nor an address", quote(host))
	}
	return nil
}

func checkSocketPath(address string) error {
	switch {
	case !path.IsAbs(address):
		return errors.New("needs an absolute path: three slashes, as in unix:///run/app.sock")
	case strings.HasSuffix(address, "/"):
		return errors.New("names a directory; add the name of the socket file")
	case len(address) > maxSocketPath:
		return fmt.Errorf("has a path of %d bytes; a unix socket's may have %d", len(address), maxSocketPath)
	}
	return nil
}

// listenList is listenOn: one address or a list.
type listenList []Listen

func (l *listenList) decodeNode(d *decoder, n *node, key string) {
	items := []*node{n}
	if n.kind == listNode {
		items = n.items
		if len(items) == 0 && !n.lost {
			d.errorf(n.pos, "%s is an empty list; name at least one address", key)
		}
	}
	for _, item := range items {
		if one, ok := d.listen(item, key); ok {
			*l = append(*l, one)
		}
	}
}

// listen reads one address and reports what is wrong with it.
func (d *decoder) listen(n *node, key string) (Listen, bool) {
	if n.kind != scalarNode {
		d.errorf(n.pos, "%s must be an address such as tcp://localhost:5432, not %s", key, n.describe())
		return Listen{}, false
	}
	l, err := ParseListen(n.value)
	if err != nil {
		d.errorf(n.pos, "%s %s %v", key, quote(n.value), err)
		return Listen{}, false
	}
	l.Pos = n.pos
	return l, true
}
