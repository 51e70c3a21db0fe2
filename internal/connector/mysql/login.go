package mysql

import (
	"context"
	"errors"
	"net"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/secret"
	"secretless/internal/target"
	"secretless/internal/wire/mysqlwire"
	"secretless/internal/wire/readahead"
)

// login is one attempt at one target connection.
type login struct {
	connector *Connector
	session   *connector.Session
	client    *client
	settings  settings
	conn      net.Conn
	in        *readahead.Buffer
	greeting  mysqlwire.HandshakeV10
	// sessions is nil where TLS sessions are not taken up.
	sessions *sessions
	// sequence is the number of the next packet, whoever sends it.
	sequence byte
}

// established is a target that takes commands.
type established struct {
	conn net.Conn
	// ok is the payload of its OK packet, rest what it sent behind that.
	ok, rest []byte
	target   connector.Target
}

// logIn opens and authenticates a target connection.
func (c *Connector) logIn(ctx context.Context, s *connector.Session, client *client, set *secret.Set) (*established, error) {
	settings, err := readSettings(set)
	if err != nil {
		return nil, err
	}
	out, err := c.attempt(ctx, s, client, settings, c.resumed.of(set))
	if errors.Is(err, errNotResumed) {
		out, err = c.attempt(ctx, s, client, settings, nil)
	}
	return out, err
}

// errNotResumed is a TLS handshake that failed with a session to take up, and
// that has told the client nothing.
var errNotResumed = errors.New("the target did not take up the TLS session")

func (c *Connector) attempt(ctx context.Context, s *connector.Session, client *client, settings settings, sessions *sessions) (*established, error) {
	conn, err := database.Within(ctx, s, settings.plan.Dial)
	if err != nil {
		return nil, err
	}
	if settings.plan.TLS != nil {
		settings.plan.TLS.ClientSessionCache = nil
		if sessions != nil {
			settings.plan.TLS.ClientSessionCache = sessions
		}
	}
	l := &login{connector: c, session: s, client: client, settings: settings, conn: conn, in: c.buffers.Get(conn), sessions: sessions}
	defer c.buffers.Put(l.in)
	ok, err := l.run(ctx)
	if err != nil {
		_ = l.conn.Close()
		return nil, err
	}
	return &established{conn: l.conn, ok: ok, rest: l.in.Rest(), target: settings.plan.Reached(l.conn)}, nil
}

func (l *login) run(ctx context.Context) ([]byte, error) {
	err := l.open(ctx)
	if err == nil && !l.client.greeted {
		l.connector.learned.meet(l.greeting)
		err = l.client.greet(presented(l.greeting, l.connector.config))
	}
	if err == nil {
		err = l.checkOffer()
	}
	if err == nil {
		err = l.encrypt(ctx)
	}
	if err != nil {
		return nil, err
	}
	defer target.Watch(ctx, l.conn)()
	a := &authenticator{login: l}
	ok, err := a.run()
	if err != nil {
		return nil, l.failed(ctx, "logging in", err)
	}
	l.connector.learned.learn(l.greeting)
	return ok, nil
}

func (l *login) address() string { return l.settings.plan.Address.String() }

// failed is the failure for an error of the connection or of the codec.
func (l *login) failed(ctx context.Context, what string, err error) error {
	var length mysqlwire.LengthError
	switch {
	case errors.As(err, &length) && ctx.Err() == nil:
		return database.ProtocolError("%s: the target %s sent a packet whose %w; does it speak MySQL?", what, l.address(), length)
	case errors.Is(err, mysqlwire.ErrMalformed):
		return database.ProtocolError("%s: the target %s: %w; does it speak MySQL?", what, l.address(), err)
	}
	return database.TargetFailure(ctx, l.address(), what, err)
}

// read reads the target's next packet.
func (l *login) read() ([]byte, error) {
	sequence, payload, err := nextPacket(l.in)
	if err != nil {
		return nil, err
	}
	if sequence != l.sequence {
		return nil, database.ProtocolError("the target %s sent packet %d in place of packet %d; does it speak MySQL?", l.address(), sequence, l.sequence)
	}
	l.sequence++
	return payload, nil
}

// write sends one packet and wipes it: it may hold or reveal the password.
func (l *login) write(packet []byte) error {
	defer clear(packet)
	l.sequence++
	_, err := l.conn.Write(packet)
	return err
}

// response is the answer to the target's greeting but for its plugin and
// that one's answer: the client's own words with the credentials' user, and
// the flags that were negotiated with the client.
func (l *login) response() mysqlwire.HandshakeResponse41 {
	theirs := l.client.response
	out := mysqlwire.HandshakeResponse41{
		Capabilities:  l.client.negotiated(),
		MaxPacketSize: theirs.MaxPacketSize,
		Charset:       theirs.Charset,
		User:          l.settings.username,
		Database:      theirs.Database,
		Attributes:    theirs.Attributes,
		ZstdLevel:     theirs.ZstdLevel,
	}
	out.Capabilities |= mysqlwire.ClientPluginAuth | mysqlwire.ClientPluginAuthLenencClientData
	if l.settings.database != "" {
		out.Database = l.settings.database
	}
	out.Capabilities &^= mysqlwire.ClientConnectWithDB
	if out.Database != "" {
		out.Capabilities |= mysqlwire.ClientConnectWithDB
	}
	if l.settings.plan.Mode == target.Disable {
		out.Capabilities &^= mysqlwire.ClientSSL
	} else {
		out.Capabilities |= mysqlwire.ClientSSL
	}
	out.Capabilities &= l.greeting.Capabilities
	return out
}
