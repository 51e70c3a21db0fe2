package mysql

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/wire/mysqlwire"
	"secretless/internal/wire/readahead"
)

// errProbe is a client that left, or said nothing in time.
var errProbe = errors.New("the client did not answer the greeting")

// client is the side of a handshake on which the broker is the server. It
// takes any answer for a right one.
type client struct {
	session *connector.Session
	in      *readahead.Buffer
	greeted bool
	// sequence is the number of the next packet, whoever sends it.
	sequence byte
	offered  mysqlwire.HandshakeV10
	response mysqlwire.HandshakeResponse41
	// fast says that the client waits for the word that its answer matched a
	// cached one before it takes an OK: caching_sha2_password.
	fast bool
}

// greet sends the greeting and reads the answer, up to where nothing but the
// result is missing. An errProbe is no failure.
func (c *client) greet(h mysqlwire.HandshakeV10) error {
	if c.session.ClientTLS != nil {
		h.Capabilities |= mysqlwire.ClientSSL
	}
	c.offered, c.greeted, c.sequence = h, true, 1
	if _, err := c.session.Client.Write(h.Append(nil)); err != nil {
		return errProbe
	}
	if _, err := c.in.Peek(1); err != nil {
		return errProbe
	}
	payload, err := c.read()
	if err == nil && mysqlwire.IsSSLRequest(payload) {
		payload, err = c.upgrade()
	}
	if err != nil {
		return err
	}
	if !c.trusted() {
		return coded(errInsecureTransport, connector.KindProtocol, "this service demands TLS with a client certificate; connect with the driver's options for TLS, a certificate and a key")
	}
	c.response, err = mysqlwire.ParseHandshakeResponse41(payload)
	switch {
	case errors.Is(err, mysqlwire.ErrHandshakeResponse320):
		return coded(errOldClient, connector.KindProtocol, "the client speaks the protocol from before MySQL 4.1; use a newer one")
	case err != nil:
		return database.ProtocolError("reading the client's answer to the greeting: %w", err)
	}
	// Who logs in with it is nobody's business: it may be a password.
	defer clear(c.response.AuthResponse)
	return c.settle()
}

// negotiated are the flags that both the client and its greeting have. A
// client may call itself MySQL whatever the server is.
func (c *client) negotiated() mysqlwire.Capabilities {
	return c.response.Capabilities & (c.offered.Capabilities | mysqlwire.ClientLongPassword)
}

// settle ends the exchange of the client's plugin. A client that had no use
// for the greeting's is asked for its own once more, since it may not have
// taken the scramble for that one. It is never asked for anything that would
// reveal a password: of all plugins two are used, and those send hashes.
func (c *client) settle() error {
	r := &c.response
	switch {
	case !r.Capabilities.Has(mysqlwire.ClientPluginAuth), r.Plugin == "", r.Plugin == c.offered.Plugin:
		return nil
	case r.Plugin == pluginCaching && !noPassword(r.AuthResponse):
		c.fast = true
		return nil
	}
	plugin := pluginNative
	if r.Plugin == pluginCaching {
		plugin = pluginCaching
	}
	request := mysqlwire.AuthSwitchRequest{Plugin: plugin, Data: append(c.offered.Scramble, 0)}
	if err := c.write(request.Append(nil, c.sequence), 1); err != nil {
		return err
	}
	answer, err := c.read()
	if err != nil {
		return err
	}
	defer clear(answer)
	c.fast = plugin == pluginCaching && !noPassword(answer)
	return nil
}

// noPassword says whether an answer is that of a client without a password,
// which a caching_sha2_password client is not told the result of.
func noPassword(answer []byte) bool {
	return len(answer) == 0 || len(answer) == 1 && answer[0] == 0
}

// fastAuthSuccess is the word for an answer that matches.
const fastAuthSuccess = 3

// finish tells the client that it is logged in, with the target's OK. One
// write for all, so that the client wakes up once.
func (c *client) finish(ok []byte) error {
	var out []byte
	packets := byte(1)
	if c.fast {
		out = mysqlwire.AppendAuthMoreData(out, c.sequence, fastAuthSuccess)
		packets = 2
	}
	return c.write(mysqlwire.AppendPacket(out, c.sequence+packets-1, ok), packets)
}

// told sends the client what err says in its protocol, and returns err.
func (c *client) told(err error) error {
	message := response(c.session, err, c.sequence)
	if len(message) == 0 {
		return err
	}
	if _, failed := c.session.Client.Write(message); failed != nil {
		return errors.Join(err, database.ClientGone(failed))
	}
	return err
}

func (c *client) write(out []byte, packets byte) error {
	c.sequence += packets
	if _, err := c.session.Client.Write(out); err != nil {
		return database.ClientGone(err)
	}
	return nil
}

// read reads the client's next packet.
func (c *client) read() ([]byte, error) {
	sequence, payload, err := nextPacket(c.in)
	if err != nil {
		return nil, c.lost(err)
	}
	if sequence != c.sequence {
		return nil, coded(errOutOfOrder, connector.KindProtocol, fmt.Sprintf("the client sent packet %d in place of packet %d; does it speak MySQL?", sequence, c.sequence))
	}
	c.sequence++
	return payload, nil
}

func (c *client) lost(err error) error {
	length, long := errors.AsType[mysqlwire.LengthError](err)
	switch {
	case long:
		return database.ProtocolError("the client sent a packet whose %w; does it speak MySQL?", length)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return &connector.Failure{Kind: connector.KindClientGone, Err: errors.New("the client closed the connection in the middle of its login")}
	case database.IsTimeout(err):
		return &connector.Failure{Kind: connector.KindTimeout, Err: errors.New("the client did not complete its login in time")}
	}
	return &connector.Failure{Kind: connector.KindClientGone, Err: fmt.Errorf("reading the client's login: %w", err)}
}

// trusted says whether the client has shown the certificate that the listener
// demands, if it demands one.
func (c *client) trusted() bool {
	config := c.session.ClientTLS
	_, encrypted := c.session.Client.(*tls.Conn)
	return encrypted || config == nil ||
		config.ClientAuth != tls.RequireAnyClientCert && config.ClientAuth != tls.RequireAndVerifyClientCert
}

// upgrade answers an SSLRequest and reads what the client says behind it.
// What came with the SSLRequest is the beginning of the TLS handshake: the
// protocol has no answer to wait for. Reads of the client end with the
// session's context, so the handshake needs none.
func (c *client) upgrade() ([]byte, error) {
	if c.session.ClientTLS == nil {
		return nil, database.ProtocolError("the client asks for TLS, which this listener does not offer; connect without, or give the service a tls section")
	}
	upgraded := tls.Server(database.Replay(c.session.Client, c.in.Rest()), c.session.ClientTLS)
	if err := upgraded.HandshakeContext(context.Background()); err != nil {
		return nil, database.Untold(connector.KindProtocol, fmt.Errorf("TLS with the client: %w", err))
	}
	c.session.Client = upgraded
	c.in.Reset(upgraded)
	return c.read()
}
