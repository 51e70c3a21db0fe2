package ssh

import (
	"context"
	"crypto/tls"
	"fmt"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
)

// secure makes the client's connection a TLS connection where the listener has
// TLS: SSH knows no way to ask for it, so it comes first and is not optional.
// It returns false for a probe.
func secure(s *connector.Session) (bool, error) {
	if s.ClientTLS == nil {
		return true, nil
	}
	raw := &clientConn{Conn: s.Client}
	upgraded := tls.Server(raw, s.ClientTLS)
	// Reads of the client end with the session's context.
	err := upgraded.HandshakeContext(context.Background())
	switch {
	case err == nil:
		s.Client = upgraded
		return true, nil
	case !raw.heard.Load():
		return false, nil
	}
	return false, database.Untold(connector.KindProtocol, fmt.Errorf("TLS with the client, which this listener demands: %w", err))
}
