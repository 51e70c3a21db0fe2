package config

import (
	"context"
	"net/netip"
)

// Options are what Parse asks about the world outside the file.
type Options struct {
	// SharesListener says whether services of a connector may share an
	// address; nil means none may.
	SharesListener func(connector string) bool
	// Resolve looks up a host name of listenOn; nil means the system's
	// resolver.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// LocalAddrs are the addresses of this machine; nil means to ask the
	// system.
	LocalAddrs func() ([]netip.Addr, error)
}
