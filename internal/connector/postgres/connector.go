// Package postgres is the connector pg: PostgreSQL's protocol 3, from the
// client's first byte to ReadyForQuery.
package postgres

import (
	"context"
	"errors"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/secret"
	"secretless/internal/wire/readahead"
)

// Connector serves one pg service. Safe for concurrent use.
type Connector struct {
	config   Config
	keys     *keyStore
	sessions *sessions
	spares   *spares // nil where none are wanted
	buffers  readahead.Pool
}

func newConnector(config Config) *Connector {
	c := &Connector{config: config, keys: newKeyStore(), sessions: newSessions()}
	if config.SpareConnections > 0 {
		c.spares = newSpares(config.SpareConnections)
	}
	return c
}

// Close ends the spare connections and wipes the derived keys.
func (c *Connector) Close() {
	if c.spares != nil {
		c.spares.close()
	}
	c.keys.close()
}

// Drain implements connector.Drainer: nobody will come for the spare ones.
func (c *Connector) Drain() {
	if c.spares != nil {
		c.spares.drain()
	}
}

// forsake ends the spare connections: the target does not take the credentials
// any more.
func (c *Connector) forsake() {
	if c.spares != nil {
		c.spares.clear()
	}
}

// ServeConn reads the client's greeting, logs in to the target in its place
// and hands the pair over.
func (c *Connector) ServeConn(ctx context.Context, s *connector.Session) error {
	return c.greet(ctx, s, func(client startup, early []byte) error {
		return c.serve(ctx, s, client, early)
	})
}

// Refuse tells a client why the service does not take it. Cancel requests are
// forwarded all the same: a full service needs them most.
func (c *Connector) Refuse(ctx context.Context, s *connector.Session, why *connector.Failure) error {
	return c.greet(ctx, s, func(startup, []byte) error {
		if _, err := s.Client.Write(response(s, why)); err != nil {
			return database.ClientGone(err)
		}
		return nil
	})
}

// greet reads the client's greeting and goes on with its startup packet and
// what it sent behind it. Cancel requests are forwarded, probes end here.
func (c *Connector) greet(ctx context.Context, s *connector.Session, start func(client startup, early []byte) error) error {
	in := c.buffers.Get(s.Client)
	defer c.buffers.Put(in)
	opening, err := (&greeting{session: s, in: in}).read()
	switch {
	case err != nil:
		return told(s, err)
	case opening.cancel != nil:
		return c.forward(ctx, s, opening)
	case opening.startup == nil:
		return nil
	}
	return start(*opening.startup, in.Rest())
}

// serve connects the client to the target. early is what it sent behind its
// startup packet.
func (c *Connector) serve(ctx context.Context, s *connector.Session, client startup, early []byte) error {
	var out *established
	err := s.Authenticate(ctx, func(ctx context.Context, set *secret.Set) (err error) {
		out, err = c.logIn(ctx, s, client, set)
		return err
	})
	if err != nil {
		return told(s, err)
	}
	if err := s.Reached(ctx, out.plan.Reached(out.conn)); err != nil {
		_ = out.conn.Close()
		return told(s, err)
	}
	// Known before the client is: it may cancel its first query at once.
	running := c.sessions.add(out.key, out.plan.at(out.conn))
	// One write for all, so that the client wakes up once.
	if _, err := s.Client.Write(out.seen); err != nil {
		_ = out.conn.Close()
		if running != nil {
			_ = running.Close()
		}
		return database.ClientGone(err)
	}
	return s.Relay(connector.Handoff{Target: out.conn, FromClient: early, FromTarget: out.rest, Closer: running})
}

// told sends the client what err says in its protocol, and returns err.
func told(s *connector.Session, err error) error {
	message := response(s, err)
	if len(message) == 0 {
		return err
	}
	if _, failed := s.Client.Write(message); failed != nil {
		return errors.Join(err, database.ClientGone(failed))
	}
	return err
}
