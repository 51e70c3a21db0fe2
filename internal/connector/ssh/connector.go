// Package ssh is the connector ssh: an SSH server for the client, an SSH client
// of the target, and between the two everything that RFC 4254 calls a
// connection: channels, their requests and global requests.
package ssh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/connector/sshkey"
	"secretless/internal/secret"
)

// Connector serves one ssh service. Safe for concurrent use once started.
type Connector struct {
	config   Config
	stateDir func() (string, error)
	log      *slog.Logger
	buffers  *buffers
	pinned   bool // the service has a hostKey
	// host is what clients know the broker by.
	host *hostKey
}

// Start loads the broker's own host key, or makes one, unless a provider has it.
func (c *Connector) Start() error {
	if c.host.fetched {
		c.log.Info("the SSH host key is fetched when a client connects", "credential", credentialServerKey)
	} else {
		key, path, err := c.loadServerKey()
		if err != nil {
			return fmt.Errorf("the broker's own SSH host key: %w", err)
		}
		c.host.key = key
		c.log.Info("clients are shown this SSH host key", "fingerprint", sshkey.Fingerprint(key.PublicKey()), "file", path)
	}
	if !c.pinned {
		c.log.Warn("the credential hostKey is absent: every connection will be refused; give the target's host key, or accept-any to trust whoever answers")
	}
	return nil
}

// ServeConn reads the client's handshake, logs in to the target before it
// answers the client's authentication, and serves the connection to its end.
func (c *Connector) ServeConn(ctx context.Context, s *connector.Session) error {
	var out *upstream
	in, err := c.accept(ctx, s, c.host.forClient, func(ctx context.Context, client ssh.ConnMetadata, tell func(banner string)) error {
		err := s.Authenticate(ctx, func(ctx context.Context, set *secret.Set) (err error) {
			out, err = logIn(ctx, s, set, client)
			return err
		})
		if err == nil {
			err = s.Reached(ctx, out.target)
		}
		if out != nil {
			for _, banner := range out.banners {
				tell(banner)
			}
		}
		return err
	})
	if out != nil {
		defer out.close()
	}
	if err != nil || in == nil {
		return err
	}
	defer in.close()
	if out == nil {
		return database.Failure(connector.KindInternal, "the client was let in without a target")
	}
	s.Established()
	newLink(c.config, c.buffers, s.Log, in.side, out.side).serve(ctx)
	return nil
}

// Refuse tells a client, when it asks to be let in, why the service does not
// take it; without a host key, as soon as it has spoken.
func (c *Connector) Refuse(ctx context.Context, s *connector.Session, why *connector.Failure) error {
	known := func(context.Context, *connector.Session) (ssh.Signer, error) {
		if key := c.host.last(); key != nil {
			return key, nil
		}
		return nil, why
	}
	in, err := c.accept(ctx, s, known, func(context.Context, ssh.ConnMetadata, func(string)) error { return why })
	if in != nil {
		in.close()
	}
	if errors.Is(err, why) {
		return nil
	}
	return err
}
