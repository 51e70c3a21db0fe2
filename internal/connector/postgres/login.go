package postgres

import (
	"context"
	"errors"
	"net"

	"github.com/jackc/pgx/v5/pgproto3"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/secret"
	"secretless/internal/target"
	"secretless/internal/wire/readahead"
)

// maxGreeting bounds all that a target sends up to ReadyForQuery.
const maxGreeting = 1 << 20

// login is one attempt at one target connection.
type login struct {
	connector *Connector
	settings  settings
	conn      net.Conn
	in        *readahead.Buffer
	auth      authenticator
	// seen is what the client must see of the target's messages, in order.
	seen []byte
	key  pgproto3.BackendKeyData
}

// established is a target that is ready for queries.
type established struct {
	conn net.Conn
	// seen goes to the client before rest, which was read ahead.
	seen, rest []byte
	key        pgproto3.BackendKeyData
	plan       plan
}

// logIn is an authenticated target connection: a spare one, if there is one for
// this client, or a new one.
func (c *Connector) logIn(ctx context.Context, s *connector.Session, client startup, set *secret.Set) (*established, error) {
	settings, err := readSettings(set)
	if err != nil {
		return nil, err
	}
	start := toTarget(client, settings, c.config.Enforce)
	packet, err := start.encode(nil)
	if err != nil {
		return nil, &connector.Failure{Kind: connector.KindConfig, Err: err}
	}
	if c.spares == nil || start.has("replication") { // of which a target has few
		return c.open(ctx, s, settings, packet)
	}
	key := c.spares.key(packet, set)
	out := c.spares.take(key)
	if out == nil {
		if out, err = c.open(ctx, s, settings, packet); err != nil {
			return nil, err
		}
	} else {
		s.Log.Debug("the session with the target was begun ahead")
	}
	ahead := &connector.Session{ConnectTimeout: s.ConnectTimeout}
	c.spares.fill(key, set, s.Log, func(ctx context.Context, set *secret.Set) (*established, error) {
		settings, err := readSettings(set)
		if err != nil {
			return nil, err
		}
		return c.open(ctx, ahead, settings, packet)
	})
	return out, nil
}

// open opens and authenticates a target connection.
func (c *Connector) open(ctx context.Context, s *connector.Session, settings settings, packet []byte) (*established, error) {
	conn, err := database.Within(ctx, s, settings.plan.open)
	if err != nil {
		return nil, err
	}
	l := &login{connector: c, settings: settings, conn: conn, in: c.buffers.Get(conn)}
	defer c.buffers.Put(l.in)
	out, err := l.run(ctx, packet)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return out, nil
}

func (l *login) run(ctx context.Context, packet []byte) (*established, error) {
	defer target.Watch(ctx, l.conn)()
	l.auth = newAuthenticator(l)
	defer l.auth.close()
	err := l.send(packet)
	if err == nil {
		err = l.authenticate(ctx)
	}
	if err == nil {
		err = l.awaitReady()
	}
	if err != nil {
		err = targetFailure(ctx, l.address(), "logging in", err)
		if k := connector.KindOf(err); k == connector.KindRejected || k == connector.KindDenied {
			l.connector.keys.drop(l.settings.password)
			l.connector.forsake()
		}
		return nil, err
	}
	return &established{conn: l.conn, seen: l.seen, rest: l.in.Rest(), key: l.key, plan: l.settings.plan}, nil
}

func (l *login) address() string { return l.settings.plan.Address.String() }

func (l *login) send(message []byte) error {
	_, err := l.conn.Write(message)
	return err
}

// authenticate reads until AuthenticationOk.
func (l *login) authenticate(ctx context.Context) error {
	for {
		kind, whole, err := l.next()
		if err != nil {
			return err
		}
		switch kind {
		case 'R':
			done, err := l.auth.handle(ctx, whole[headerSize:])
			if err != nil {
				return err
			}
			if done {
				l.seen = append(l.seen, whole...)
				return nil
			}
		case 'v', 'N': // NegotiateProtocolVersion, NoticeResponse
			l.seen = append(l.seen, whole...)
		default:
			return database.ProtocolError("logging in: the target %s sent message %q instead of an authentication request; does it speak PostgreSQL?", l.address(), kind)
		}
	}
}

// awaitReady reads until ReadyForQuery, for the sake of the cancel key and of
// errors that come after authentication (no such database, no right to log in).
func (l *login) awaitReady() error {
	for {
		kind, whole, err := l.next()
		if err != nil {
			return err
		}
		l.seen = append(l.seen, whole...)
		switch kind {
		case 'Z':
			return nil
		case 'K':
			if err := l.key.Decode(whole[headerSize:]); err != nil {
				return database.ProtocolError("logging in: the target %s sent a malformed cancel key", l.address())
			}
		case 'R':
			return database.ProtocolError("logging in: the target %s sent an authentication request after authentication", l.address())
		}
	}
}

// next reads a message; an error of the target's ends the login.
func (l *login) next() (byte, []byte, error) {
	kind, whole, err := nextMessage(l.in)
	if err != nil {
		if _, ok := errors.AsType[errLength](err); ok && kind == 'E' {
			// Protocol 2's form, sent by a postmaster that cannot fork.
			return 0, nil, database.Failure(connector.KindTarget, "logging in: the target %s sent an error without a code; it may be out of processes or memory", l.address())
		}
		return 0, nil, err
	}
	if len(l.seen)+len(whole) > maxGreeting {
		return 0, nil, database.ProtocolError("logging in: the target %s sent more than %d bytes before it was ready for queries", l.address(), maxGreeting)
	}
	if kind == 'E' {
		return 0, nil, refusal(l.address(), l.seen, whole, l.auth.disclosed())
	}
	return kind, whole, nil
}
