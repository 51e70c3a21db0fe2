package mssql

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/wire/tds"
)

// strict upgrades a client that starts with TLS, as TDS 8.0 has it.
func (g *greeting) strict() error {
	if g.session.ClientTLS == nil {
		// A handshake_failure alert is what a TLS client understands.
		_, _ = g.session.Client.Write([]byte{21, 3, 1, 0, 2, 2, 40})
		return database.Untold(connector.KindProtocol, errors.New("the client starts with TLS (Encrypt=strict), which this listener does not offer; it should use Encrypt=no, or the service needs a tls section"))
	}
	config := g.session.ClientTLS.Clone()
	config.NextProtos = []string{alpn}
	conn, err := g.handshake(database.Replay(g.session.Client, g.in.Rest()), config)
	if err != nil {
		return err
	}
	if conn.ConnectionState().NegotiatedProtocol != alpn {
		return database.Untold(connector.KindProtocol, errors.New("the client started with TLS but did not ask for the protocol tds/8.0 (ALPN)"))
	}
	return nil
}

// upgrade makes the client's connection a TLS connection with the handshake in
// PRELOGIN packets.
func (g *greeting) upgrade() error {
	config := g.session.ClientTLS.Clone()
	config.NextProtos = nil
	config.MaxVersion = tls.VersionTLS12
	config.SessionTicketsDisabled = true // a clone's keys die with the connection
	if config.MinVersion > config.MaxVersion {
		return database.Untold(connector.KindProtocol, errors.New("the listener demands TLS 1.3, which TDS has with Encrypt=strict only"))
	}
	wrapped := tds.NewTLSConn(g.session.Client)
	if _, err := g.handshake(wrapped, config); err != nil {
		return err
	}
	wrapped.HandshakeDone()
	return nil
}

// handshake makes conn the session's client. Reads of it end with the
// session's context, so the handshake needs none.
func (g *greeting) handshake(conn net.Conn, config *tls.Config) (*tls.Conn, error) {
	upgraded := tls.Server(conn, config)
	if err := upgraded.HandshakeContext(context.Background()); err != nil {
		return nil, database.Untold(connector.KindProtocol, fmt.Errorf("TLS with the client: %w", err))
	}
	g.session.Client = upgraded
	g.in.Reset(upgraded)
	g.encrypted = true
	return upgraded, nil
}
