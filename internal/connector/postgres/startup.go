package postgres

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"github.com/jackc/pgx/v5/pgproto3"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/wire/readahead"
)

// alpn is PostgreSQL's application protocol, obligatory for TLS without a
// preceding SSLRequest.
const alpn = "postgresql"

// tlsHandshake is the first byte of a TLS ClientHello. As the first byte of a
// length it would stand for 352 MiB.
const tlsHandshake = 0x16

// errNoTLS is about clients that leave once they are told: those with
// sslmode=require, which name no reason but their own setting.
var errNoTLS = errors.New("the client demands TLS, which this listener does not offer: set sslmode=disable or prefer at the client, or give the service a tls section")

// greeting reads what a client says first.
type greeting struct {
	session *connector.Session
	in      *readahead.Buffer
	// asked are the encryption requests seen; each may come once.
	askedSSL, askedGSS, encrypted bool
}

// opening is what the client wants: startup, or cancel, or neither for a probe.
type opening struct {
	startup *startup
	cancel  *pgproto3.CancelRequest
	// trusted is false for a client that withheld the certificate which the
	// listener demands; only cancel requests get so far.
	trusted bool
}

// read answers requests for encryption until the startup packet or a cancel
// request is there. On failure it has told the client.
func (g *greeting) read() (opening, error) {
	first, err := g.in.Peek(1)
	switch {
	case err != nil:
		return opening{}, nil // a probe: it left, or said nothing in time
	case first[0] == tlsHandshake:
		if err := g.directTLS(); err != nil {
			return opening{}, err
		}
	}
	for {
		packet, err := g.packet()
		if err != nil {
			return opening{}, err
		}
		switch code := binary.BigEndian.Uint32(packet); {
		case code == codeSSL && len(packet) == 4 && !g.askedSSL && !g.encrypted:
			g.askedSSL = true
			err = g.answerSSL()
		case code == codeGSSENC && len(packet) == 4 && !g.askedGSS && !g.encrypted:
			g.askedGSS = true
			err = g.decline("GSSENCRequest")
		case code == codeCancel:
			return g.cancel(packet)
		case code>>16 == protocol3:
			return g.startup(packet)
		default:
			err = g.unsupported(code)
		}
		if err != nil {
			return opening{}, err
		}
	}
}

// packet reads one packet without its length word.
func (g *greeting) packet() ([]byte, error) {
	word, err := g.in.Peek(4)
	if err != nil {
		return nil, g.lost(err)
	}
	length := binary.BigEndian.Uint32(word)
	if length < 8 || length > maxStartup+4 {
		return nil, database.ProtocolError("the client's first bytes are no PostgreSQL startup packet (length %d); does it speak PostgreSQL?", length)
	}
	whole, err := g.in.Peek(int(length))
	if err != nil {
		return nil, g.lost(err)
	}
	g.in.Take(int(length))
	return whole[4:], nil
}

func (g *greeting) lost(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		if g.askedSSL && !g.encrypted && g.in.Buffered() == 0 {
			return database.Untold(connector.KindProtocol, errNoTLS)
		}
		return &connector.Failure{Kind: connector.KindClientGone, Err: errors.New("the client closed the connection before its startup packet was complete")}
	}
	if database.IsTimeout(err) {
		return &connector.Failure{Kind: connector.KindTimeout, Err: errors.New("the client did not complete its startup packet in time")}
	}
	return &connector.Failure{Kind: connector.KindClientGone, Err: fmt.Errorf("reading the client's startup packet: %w", err)}
}

func (g *greeting) startup(packet []byte) (opening, error) {
	if !g.trusted() {
		return opening{}, coded("28000", connector.KindProtocol, "this service demands TLS with a client certificate; connect with sslmode=require, sslcert and sslkey")
	}
	parsed, err := parseStartup(packet)
	if err != nil {
		return opening{}, database.ProtocolError("the client's %w", err)
	}
	return opening{startup: &parsed, trusted: true}, nil
}

func (g *greeting) cancel(packet []byte) (opening, error) {
	request := new(pgproto3.CancelRequest)
	if err := request.Decode(packet); err != nil {
		return opening{}, database.ProtocolError("the client's cancel request: %w", err)
	}
	return opening{cancel: request, trusted: g.trusted()}, nil
}

func (g *greeting) unsupported(code uint32) error {
	switch code {
	case codeSSL:
		return database.ProtocolError("the client sent an SSLRequest at the wrong time or of a wrong size")
	case codeGSSENC:
		return database.ProtocolError("the client sent a GSSENCRequest at the wrong time or of a wrong size")
	}
	return coded("0A000", connector.KindProtocol, fmt.Sprintf("unsupported frontend protocol %d.%d: the broker supports 3.0 and later minor versions", code>>16, code&0xffff))
}

// trusted says whether the client has shown the certificate that the listener
// demands, if it demands one.
func (g *greeting) trusted() bool {
	config := g.session.ClientTLS
	return g.encrypted || config == nil ||
		config.ClientAuth != tls.RequireAnyClientCert && config.ClientAuth != tls.RequireAndVerifyClientCert
}

func (g *greeting) answerSSL() error {
	if g.session.ClientTLS == nil {
		return g.decline("SSLRequest")
	}
	if err := g.answer('S', "SSLRequest"); err != nil {
		return err
	}
	return g.upgrade(g.session.Client, false)
}

func (g *greeting) decline(request string) error { return g.answer('N', request) }

// answer refuses plain bytes behind a request for encryption: a client that
// trusts its TLS connection would take them for its own (CVE-2021-23214).
func (g *greeting) answer(b byte, request string) error {
	if g.in.Buffered() > 0 {
		return database.ProtocolError("received unencrypted data after %s; a faulty client or somebody in the middle", request)
	}
	if _, err := g.session.Client.Write([]byte{b}); err != nil {
		return database.ClientGone(err)
	}
	return nil
}

func (g *greeting) directTLS() error {
	if g.session.ClientTLS == nil {
		// A handshake_failure alert is what a TLS client understands.
		_, _ = g.session.Client.Write([]byte{21, 3, 1, 0, 2, 2, 40})
		return database.Untold(connector.KindProtocol, errNoTLS)
	}
	return g.upgrade(database.Replay(g.session.Client, g.in.Rest()), true)
}

// upgrade makes the client's connection a TLS connection. Reads of it end with
// the session's context, so the handshake needs none.
func (g *greeting) upgrade(conn net.Conn, direct bool) error {
	config := g.session.ClientTLS
	if !slices.Contains(config.NextProtos, alpn) {
		config = config.Clone()
		config.NextProtos = []string{alpn}
	}
	upgraded := tls.Server(conn, config)
	if err := upgraded.HandshakeContext(context.Background()); err != nil {
		return database.Untold(connector.KindProtocol, fmt.Errorf("TLS with the client: %w", err))
	}
	if direct && upgraded.ConnectionState().NegotiatedProtocol != alpn {
		return database.Untold(connector.KindProtocol, errors.New("the client started with TLS but did not ask for the protocol postgresql (ALPN)"))
	}
	g.session.Client = upgraded
	g.in.Reset(upgraded)
	g.encrypted = true
	return nil
}
