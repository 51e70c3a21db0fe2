// Package sshagent is the connector ssh-agent: the agent protocol of SSH
// (RFC 9987) for keys that stay with their provider. Clients list keys and
// have them sign; they cannot add, remove, lock or read any.
package sshagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"secretless/internal/connector"
	"secretless/internal/connector/sshkey"
	"secretless/internal/wire/sshagentwire"
)

// Connector serves one ssh-agent service. Safe for concurrent use.
type Connector struct {
	config Config
	log    *slog.Logger
	since  time.Time
	// asking holds the one question that is asked at a time: two windows of
	// one look invite the wrong answer.
	asking chan struct{}
}

func newConnector(config Config, log *slog.Logger) *Connector {
	return &Connector{config: config, log: log, since: time.Now(), asking: make(chan struct{}, 1)}
}

// Start is when the lifetimes of the keys begin.
func (c *Connector) Start() error {
	c.since = time.Now()
	if c.config.bound() {
		c.log.Info("ssh-agent signs for logins to the hosts of allowHosts alone", "hosts", len(c.config.hosts))
	}
	return nil
}

// ServeConn answers the client's requests until it leaves. Credentials are
// asked for by requests that list or sign.
func (c *Connector) ServeConn(ctx context.Context, s *connector.Session) error {
	v := &conversation{connector: c, session: s}
	for {
		message, err := v.read(ctx)
		if err != nil {
			return v.end(ctx, err)
		}
		answer, failed := v.answer(ctx, message)
		if err := v.write(ctx, answer); err != nil {
			return errors.Join(failed, clientGone(err))
		}
		if failed != nil {
			return failed
		}
		s.Established()
	}
}

// Refuse answers the client's first request with a failure: the protocol has
// no way to say more.
func (c *Connector) Refuse(ctx context.Context, s *connector.Session, why *connector.Failure) error {
	v := &conversation{connector: c, session: s}
	if _, err := v.read(ctx); err != nil {
		return v.end(ctx, err)
	}
	if err := v.write(ctx, sshagentwire.Frame(sshagentwire.Failure)); err != nil {
		return clientGone(err)
	}
	return why
}

// identities are the keys whose lifetime is not over. They are fetched for
// each request, so that they follow rotation by the provider's rule, and
// dropped after it.
func (c *Connector) identities(ctx context.Context, s *connector.Session) ([]identity, error) {
	found, retry, err := c.fetch(ctx, s)
	if retry {
		s.Log.Info("the certificate from the cache has expired, fetching the credentials again")
		found, _, err = c.fetch(ctx, s)
	}
	if err != nil {
		return nil, err
	}
	alive := found[:0]
	for _, id := range found {
		if !c.over(id.lifetime) {
			alive = append(alive, id)
		}
	}
	return alive, nil
}

func (c *Connector) fetch(ctx context.Context, s *connector.Session) (found []identity, retry bool, err error) {
	set, err := s.Credentials.Get(ctx)
	if err != nil {
		return nil, false, &connector.Failure{Kind: connector.KindCredentials, Err: err}
	}
	defer set.Wipe()
	if found, err = readIdentities(set, s.Service); err != nil {
		retry = errors.Is(err, sshkey.ErrExpired) && s.Credentials.Drop(set)
		return nil, retry, &connector.Failure{Kind: connector.KindConfig, Err: err}
	}
	return found, false, nil
}

// over says whether a lifetime has passed, on the monotonic clock or on the
// wall's: the first stands still while the machine sleeps, the second can be
// set back.
func (c *Connector) over(lifetime time.Duration) bool {
	now := time.Now()
	return lifetime > 0 && (now.Sub(c.since) >= lifetime || now.Round(0).Sub(c.since.Round(0)) >= lifetime)
}

func clientGone(err error) error {
	return &connector.Failure{Kind: connector.KindClientGone, Err: fmt.Errorf("writing to the client: %w", err)}
}
