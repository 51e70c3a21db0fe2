package mssql

import (
	"context"
	"errors"
	"net"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/secret"
	"secretless/internal/target"
	"secretless/internal/wire/readahead"
	"secretless/internal/wire/tds"
)

const (
	// maxResponse bounds a target's answer to LOGIN7; SQL Server's own are
	// about 500 bytes.
	maxResponse = 256 << 10
	// maxRoutes is how often a login is sent elsewhere; Azure does it once.
	maxRoutes = 5
)

// login is one attempt at a target and where it routes to.
type login struct {
	connector *Connector
	client    *opening
	settings  settings
	plan      database.Plan
	in        *readahead.Buffer
	conn      net.Conn
	encrypted bool
}

// established is a target that is ready for requests.
type established struct {
	conn net.Conn
	// seen goes to the client before rest, which was read ahead.
	seen, rest []byte
	plan       database.Plan
}

// target is who answered, by what is below the layer that aligns packets.
func (e *established) target() connector.Target {
	conn := e.conn
	if aligned, ok := conn.(*tds.Aligned); ok {
		conn = aligned.Conn
	}
	return e.plan.Reached(conn)
}

// logIn opens and authenticates a target connection, wherever the target
// routes it.
func (c *Connector) logIn(ctx context.Context, s *connector.Session, client *opening, set *secret.Set) (*established, error) {
	settings, err := readSettings(set)
	if err != nil {
		return nil, err
	}
	l := &login{connector: c, client: client, settings: settings, in: c.buffers.Get(nil)}
	defer c.buffers.Put(l.in)
	next := settings.address
	for range maxRoutes + 1 {
		out, route, err := l.try(ctx, s, next)
		if err != nil {
			return nil, err
		}
		if route == nil {
			return out, nil
		}
		if next, err = l.follow(*route); err != nil {
			return nil, err
		}
	}
	return nil, database.Failure(connector.KindTarget, "logging in: the target %s routes the login in a circle (more than %d times)", settings.address, maxRoutes)
}

// try logs in at one address. With a route, the connection is closed.
func (l *login) try(ctx context.Context, s *connector.Session, address target.Address) (*established, *tds.Routing, error) {
	var err error
	if l.plan, err = l.settings.plan(address); err != nil {
		return nil, nil, database.Failure(connector.KindConfig, "credentials of the service: %w", err)
	}
	_, err = database.Within(ctx, s, func(ctx context.Context) (net.Conn, error) { return l.conn, l.reach(ctx) })
	if err != nil {
		return nil, nil, err
	}
	out, route, err := l.run(ctx)
	if err != nil || route != nil {
		_ = l.conn.Close()
	}
	return out, route, err
}

// run sends LOGIN7 and reads the answer.
func (l *login) run(ctx context.Context) (*established, *tds.Routing, error) {
	const what = "logging in"
	defer target.Watch(ctx, l.conn)()
	request, err := l.request()
	if err != nil {
		return nil, nil, err
	}
	err = send(l.conn, &request)
	if err != nil {
		return nil, nil, l.failed(ctx, what, err)
	}
	m, err := tds.ReadMessage(l.in, tds.TypeReply, maxResponse)
	if err != nil {
		return nil, nil, l.failed(ctx, what, err)
	}
	answer, err := tds.ParseLoginResponse(m.Body, request.TDSVersion)
	switch {
	case err != nil:
		return nil, nil, l.failed(ctx, what, err)
	case answer.Routing != nil:
		return nil, answer.Routing, nil
	case answer.Ack == nil:
		return nil, nil, l.refused(m, answer)
	}
	return &established{conn: l.conn, seen: l.seen(m, *answer.Ack, request.TDSVersion), rest: l.in.Rest(), plan: l.plan}, nil, nil
}

// seen is the target's answer for the client: as it came, unless the two speak
// TDS 8.0 and 7.4, which differ in the version alone.
func (l *login) seen(m tds.Message, ack tds.LoginAck, asked uint32) []byte {
	if mine := l.client.login.TDSVersion; mine != asked && ack.TDSVersion == asked {
		tds.SetAckVersion(m.Body, asked, mine)
		return tds.AppendMessage(nil, tds.TypeReply, m.SPID, tds.LoginPacketSize, m.Body)
	}
	return append([]byte(nil), m.Raw...)
}

// failed is the failure for err while doing what with the target.
func (l *login) failed(ctx context.Context, what string, err error) error {
	if e, ok := errors.AsType[*tds.Error](err); ok {
		return database.ProtocolError("%s: the answer of the target %s is malformed (%s); does it speak TDS?", what, l.plan.Address, e)
	}
	return database.TargetFailure(ctx, l.plan.Address.String(), what, err)
}
