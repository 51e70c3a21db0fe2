package connector

import (
	"context"
	"crypto/tls"
)

// Target is who answered at the other end, as far as its protocol shows it.
type Target struct {
	// Address is where the credentials or the client say that it is: host:port,
	// or the path of a unix socket.
	Address string
	// Remote is the address behind it that answered; empty for a unix socket.
	Remote string
	// TLS is nil on a connection without it.
	TLS *tls.ConnectionState
	// HostKey is the fingerprint of an SSH host key.
	HostKey string
	// Verified says that the certificate or host key was checked against what
	// the service trusts. If not, it is what whoever answered has shown.
	Verified bool
	// Anonymous says that none of the service's credentials were used.
	Anonymous bool
}

// Reached records in the audit who the target turned out to be. A connector
// calls it when it has logged in, before it tells the client so and before
// anything of the client's reaches the target. Where the audit is required and
// cannot be written, it returns a *Failure, and the connection must end.
func (s *Session) Reached(ctx context.Context, t Target) error {
	if s.OnReached == nil {
		return nil
	}
	return s.OnReached(ctx, t)
}
