package config

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// offline are Options that depend on no machine: it has 192.0.2.1, and knows
// db.local (itself), far.example (another machine) and nothing else.
func offline() Options {
	return Options{
		SharesListener: func(connector string) bool { return slices.Contains(httpConnectors(), connector) },
		Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
			switch host {
			case "db.local":
				return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
			case "far.example":
				return []netip.Addr{netip.MustParseAddr("203.0.113.9")}, nil
			}
			return nil, errors.New("lookup " + host + ": no such host")
		},
		LocalAddrs: func() ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fe80::1")}, nil
		},
	}
}

// parse expects a file without errors.
func parse(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse("s.yml", []byte(text), offline())
	if err != nil {
		t.Fatalf("Parse: %v\n%s", err, text)
	}
	return f
}

// service is a whole file around the keys of one service.
func service(keys ...string) string {
	return "version: \"2\"\nservices:\n  db:\n    connector: pg\n    " + strings.Join(keys, "\n    ") + "\n"
}

const listenHere = "listenOn: tcp://localhost:5432"
