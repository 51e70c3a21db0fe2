// Package mssql is the connector mssql: TDS, the protocol of SQL Server, from
// the client's PRELOGIN to the target's answer to LOGIN7.
package mssql

import (
	"context"
	"errors"
	"sync/atomic"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/secret"
	"secretless/internal/wire/readahead"
)

// Connector serves one mssql service. Safe for concurrent use.
type Connector struct {
	buffers readahead.Pool
	// learned is what targets have said in PRELOGIN. A client is answered
	// before there is a target connection, so that a client which goes no
	// further costs none.
	learned atomic.Pointer[facts]
}

func newConnector() *Connector {
	c := &Connector{}
	c.learned.Store(&facts{version: supposedVersion, mars: true})
	return c
}

// ServeConn reads the client's login, logs in to the target in its place and
// hands the pair over.
func (c *Connector) ServeConn(ctx context.Context, s *connector.Session) error {
	return c.greet(s, func(client *opening, early []byte) error {
		return c.serve(ctx, s, client, early)
	})
}

// Refuse tells a client why the service does not take it. Drivers read errors
// only in answer to a login, so it is read first.
func (c *Connector) Refuse(_ context.Context, s *connector.Session, why *connector.Failure) error {
	return c.greet(s, func(client *opening, _ []byte) error {
		if _, err := s.Client.Write(response(s, why, client.login.TDSVersion)); err != nil {
			return database.ClientGone(err)
		}
		return nil
	})
}

// greet reads up to the client's LOGIN7 and goes on with that and what was sent
// behind it. Probes end here.
func (c *Connector) greet(s *connector.Session, start func(client *opening, early []byte) error) error {
	in := c.buffers.Get(s.Client)
	defer c.buffers.Put(in)
	client, err := (&greeting{session: s, in: in, known: *c.learned.Load()}).read()
	switch {
	case err != nil:
		return told(s, err, 0)
	case client == nil:
		return nil
	}
	return start(client, in.Rest())
}

// serve connects the client to the target. early is what it sent behind its
// login.
func (c *Connector) serve(ctx context.Context, s *connector.Session, client *opening, early []byte) error {
	var out *established
	err := client.acceptable()
	if err == nil {
		err = s.Authenticate(ctx, func(ctx context.Context, set *secret.Set) (err error) {
			out, err = c.logIn(ctx, s, client, set)
			return err
		})
	}
	if err != nil {
		return told(s, err, client.login.TDSVersion)
	}
	if err := s.Reached(ctx, out.target()); err != nil {
		_ = out.conn.Close()
		return told(s, err, client.login.TDSVersion)
	}
	if _, err := s.Client.Write(out.seen); err != nil {
		_ = out.conn.Close()
		return database.ClientGone(err)
	}
	return s.Relay(connector.Handoff{Target: out.conn, FromClient: early, FromTarget: out.rest})
}

// told sends the client, which speaks version, what err says, and returns err.
func told(s *connector.Session, err error, version uint32) error {
	message := response(s, err, version)
	if len(message) == 0 {
		return err
	}
	if _, failed := s.Client.Write(message); failed != nil {
		return errors.Join(err, database.ClientGone(failed))
	}
	return err
}
