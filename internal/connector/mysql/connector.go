// Package mysql is the connector mysql: the protocol of MySQL and MariaDB,
// from the greeting to the OK packet that ends the login.
package mysql

import (
	"context"
	"errors"
	"sync"
	"time"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/secret"
	"secretless/internal/wire/readahead"
)

// Connector serves one mysql service. Safe for concurrent use.
type Connector struct {
	config  Config
	learned learned
	buffers readahead.Pool
	resumed resumption
	// warnRSA says once that passwords cross the network behind a key that
	// nobody has verified.
	warnRSA sync.Once
}

func newConnector(config Config) *Connector { return &Connector{config: config} }

// ServeConn greets the client, logs in to the target in its place and hands
// the pair over.
func (c *Connector) ServeConn(ctx context.Context, s *connector.Session) error {
	in := c.buffers.Get(s.Client)
	defer c.buffers.Put(in)
	client := &client{session: s, in: in}
	err := c.serve(ctx, s, client)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errProbe):
		return nil
	case !client.greeted && ctx.Err() == nil && database.ToTell(err) != nil:
		// An error in place of the greeting has no SQLSTATE, and newer clients
		// warn that it may be forged: it came before they could ask for TLS.
		late := client.greet(c.learned.greeting(c.config))
		switch {
		case errors.Is(late, errProbe):
			return err
		case late != nil: // a client that may not be let in hears nothing of the target
			return errors.Join(err, client.told(late))
		}
	}
	return client.told(err)
}

func (c *Connector) serve(ctx context.Context, s *connector.Session, client *client) error {
	ask, answered, err := c.asksFirst(ctx)
	if err != nil {
		return err
	}
	defer answered()
	if !ask {
		if err := client.greet(c.learned.greeting(c.config)); err != nil {
			return err
		}
	}
	var out *established
	err = s.Authenticate(ctx, func(ctx context.Context, set *secret.Set) (err error) {
		out, err = c.logIn(ctx, s, client, set)
		return err
	})
	if err != nil {
		return err
	}
	err = s.Reached(ctx, out.target)
	if err == nil {
		err = client.finish(out.ok)
	}
	if err != nil {
		_ = out.conn.Close()
		return err
	}
	return s.Relay(connector.Handoff{Target: out.conn, FromClient: client.in.Rest(), FromTarget: out.rest})
}

// probeTime is how long a client that wants nothing has to leave before the
// target is asked for its greeting. A real client waits for that.
const probeTime = 20 * time.Millisecond

// asksFirst says whether the target is to be asked for its greeting before the
// client gets one. Whoever asks calls answered when that has been tried.
func (c *Connector) asksFirst(ctx context.Context) (ask bool, answered func(), err error) {
	switch c.config.Greeting {
	case greetTarget:
		return true, func() {}, nil
	case greetLearned:
		return false, func() {}, nil
	}
	ask, answered = c.learned.enquire(ctx)
	if !ask {
		return false, answered, nil
	}
	left := time.NewTimer(probeTime)
	defer left.Stop()
	select {
	case <-left.C:
		return true, answered, nil
	case <-ctx.Done(): // the client has left, or the broker stops
		answered()
		return false, nil, errProbe
	}
}

// Refuse tells a client in place of the greeting why the service does not take
// it.
func (c *Connector) Refuse(_ context.Context, s *connector.Session, why *connector.Failure) error {
	if _, err := s.Client.Write(response(s, why, 0)); err != nil {
		return database.ClientGone(err)
	}
	return nil
}
