// Package postgres is the connector pg: PostgreSQL's protocol 3, from the
// client's first byte to ReadyForQuery.
package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"secretless/internal/connector"
	"secretless/internal/secret"
)

// Connector serves one pg service. Safe for concurrent use.
type Connector struct {
	config   Config
	keys     *keyStore
	sessions *sessions
	buffers  buffers
}

func newConnector(config Config) *Connector {
	return &Connector{config: config, keys: newKeyStore(), sessions: newSessions()}
}

// Close wipes the derived keys.
func (c *Connector) Close() { c.keys.close() }

// ServeConn reads the client's greeting, logs in to the target in its place
// and hands the pair over.
func (c *Connector) ServeConn(ctx context.Context, s *connector.Session) error {
	in := c.buffers.get(s.Client)
	defer c.buffers.put(in)
	opening, err := (&greeting{session: s, in: in}).read()
	switch {
	case err != nil:
		return refuseGreeting(s, err)
	case opening.cancel != nil:
		return c.forward(ctx, s, opening)
	case opening.startup == nil:
		return nil
	}
	return c.serve(ctx, s, *opening.startup, in.rest())
}

// Refuse tells a client why the service does not take it. Cancel requests are
// forwarded all the same: a full service needs them most.
func (c *Connector) Refuse(ctx context.Context, s *connector.Session, why *connector.Failure) error {
	in := c.buffers.get(s.Client)
	defer c.buffers.put(in)
	opening, err := (&greeting{session: s, in: in}).read()
	switch {
	case err != nil:
		return refuseGreeting(s, err)
	case opening.cancel != nil:
		return c.forward(ctx, s, opening)
	case opening.startup == nil:
		return nil
	}
	return tell(s, why)
}

// serve connects the client to the target. early is what it sent behind its
// startup packet.
func (c *Connector) serve(ctx context.Context, s *connector.Session, client startup, early []byte) error {
	out, later, err := c.connect(ctx, s, client)
	if err != nil {
		if told := tell(s, err); told != nil {
			return errors.Join(err, told)
		}
		return err
	}
	// One write for all, so that the client wakes up once.
	if _, err := s.Client.Write(out.seen); err != nil {
		_ = out.conn.Close()
		return clientGone(err)
	}
	return s.Relay(connector.Handoff{
		Target:     out.conn,
		FromClient: append(early, later...),
		FromTarget: out.rest,
		Closed:     c.sessions.add(out.key, out.plan.at(out.conn)),
	})
}

// connect logs in, with fresh credentials if cached ones are rejected, while
// it watches that the client stays. later is what the client sent meanwhile.
func (c *Connector) connect(ctx context.Context, s *connector.Session, client startup) (out *established, later []byte, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	line := watchClient(s.Client, cancel)
	err = s.Authenticate(ctx, func(ctx context.Context, set *secret.Set) (err error) {
		out, err = c.logIn(ctx, s, client, set)
		return err
	})
	later = line.stop()
	if err != nil && context.Cause(ctx) != nil {
		err = preferCause(ctx, err)
	}
	return out, later, err
}

// preferCause is the reason why ctx ended where err is only its consequence,
// such as a lookup that was interrupted because the client had left.
func preferCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); connector.KindOf(cause) == connector.KindClientGone {
		return cause
	}
	return err
}

// tell sends the client what err says in its protocol.
func tell(s *connector.Session, err error) error {
	message := response(s, err)
	if len(message) == 0 {
		return nil
	}
	if _, err := s.Client.Write(message); err != nil {
		return clientGone(err)
	}
	return nil
}

// refuseGreeting answers a greeting that was not understood. What the client
// has sent beyond is read and dropped for a moment: closing a TCP connection
// with unread bytes would reset it and destroy the answer on its way.
func refuseGreeting(s *connector.Session, err error) error {
	if told := tell(s, err); told != nil || connector.KindOf(err) != connector.KindProtocol {
		return err
	}
	if half, ok := s.Client.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		drain(s.Client)
	}
	return err
}

const (
	drainTime  = 250 * time.Millisecond
	drainBytes = 64 << 10
)

func drain(client net.Conn) {
	_ = client.SetReadDeadline(time.Now().Add(drainTime))
	_, _ = io.CopyN(io.Discard, client, drainBytes)
}
