// Package broker runs services: it listens, accepts, authorises and counts
// connections, hands them to connectors and relays, applies new sets of
// services, and drains the old.
package broker

import (
	"crypto/tls"
	"io/fs"
	"time"

	"secretless/internal/audit"
	"secretless/internal/connector"
	"secretless/internal/peer"
)

// Service is everything the broker needs to run one service. It is built by
// package assemble and not changed afterwards.
type Service struct {
	// Name is the service's, or that of the address that several Members share.
	Name    string
	Members []string
	// Digest identifies what the service was built from. A service whose
	// Digest equals that of the running one of the same name is carried over
	// untouched; the new value is then closed and dropped.
	Digest string
	// Kind is the connector's id, for logs, audit and metrics.
	Kind        string
	Connector   connector.Connector
	Credentials connector.Credentials
	// References say where the credentials of the service and of its members
	// come from, by the service's name, for the audit.
	References map[string][]audit.Reference
	Listen     []Address
	Socket     Socket
	// Allow decides which local processes may connect; nil means everyone
	// who reaches the address.
	Allow *peer.Policy
	// Limits are complete: assemble has put the defaults in.
	Limits Limits
	// Drain is how long connections live on when the service is replaced,
	// removed or stopped.
	Drain time.Duration
	// ClientTLS is for connectors that offer TLS to clients.
	ClientTLS *tls.Config
	// Close releases what was built for the service; called once, after its
	// last connection ended, or at once for a service that never ran. May be
	// nil.
	Close func()
}

// Address is one place to listen: tcp host:port, unix path, or the name of a
// descriptor that systemd passed (socket activation).
type Address struct {
	Network string // "tcp", "unix" or "systemd"
	Address string
}

// String is the address as written in listenOn.
func (a Address) String() string { return a.Network + "://" + a.Address }

// Socket is how the files of unix sockets are made.
type Socket struct {
	Mode fs.FileMode
	// UID and GID own the file; -1 leaves them as they are.
	UID, GID int
}

// Limits bound what clients can use. Zero means no limit, except for
// HandshakeTimeout and ConnectTimeout, which are always set.
type Limits struct {
	Connections      int
	ConnectTimeout   time.Duration
	HandshakeTimeout time.Duration
	IdleTimeout      time.Duration
}
