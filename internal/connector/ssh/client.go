package ssh

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/target"
)

// side is one of the two SSH connections of a link.
type side struct {
	conn     ssh.Conn
	channels <-chan ssh.NewChannel
	requests <-chan *ssh.Request
}

// close ends the connection and waits until the library has let go of it.
func (s side) close() {
	_ = s.conn.Close()
	s.drain()
	_ = s.conn.Wait()
}

// drain takes what the library still has to hand over; its reader would wait
// for that for ever.
func (s side) drain() {
	for s.channels != nil || s.requests != nil {
		select {
		case _, ok := <-s.channels:
			if !ok {
				s.channels = nil
			}
		case _, ok := <-s.requests:
			if !ok {
				s.requests = nil
			}
		}
	}
}

// downstream is a client that was let in.
type downstream struct{ side }

// admission decides about one client. It is used by the goroutine of the
// handshake alone.
type admission struct {
	ctx context.Context
	// login opens the target for the client; tell shows the client a text.
	login   func(ctx context.Context, client ssh.ConnMetadata, tell func(string)) error
	session *connector.Session
	conn    *clientConn
	// releasing is around conn, for the library.
	releasing *releasing
	pre       ssh.ServerPreAuthConn
	err       error
}

// accept speaks with the client until it is let in. key finds the host key for
// a client that has spoken. Both results are nil for a probe.
func (c *Connector) accept(ctx context.Context, s *connector.Session, key func(context.Context, *connector.Session) (ssh.Signer, error),
	login func(context.Context, ssh.ConnMetadata, func(string)) error,
) (*downstream, error) {
	if ok, err := secure(s); !ok {
		return nil, err
	}
	conn := &clientConn{Conn: s.Client}
	proposed, err := conn.greet(versionOpenSSH)
	switch {
	case !conn.heard.Load():
		return nil, nil
	case err != nil:
		return nil, clientFailure(ctx, err)
	}
	host, err := key(ctx, s)
	if err != nil {
		if why := database.ToTell(err); why != nil {
			conn.disconnect(s.Service, why)
		}
		return nil, err
	}
	a := &admission{ctx: ctx, session: s, conn: conn, releasing: &releasing{Conn: conn}, login: login}
	config := a.config(host)
	config.Ciphers = ciphersFor(proposed, config.Ciphers, hasFastAES())
	server, channels, requests, err := ssh.NewServerConn(a.releasing, config)
	switch {
	case err == nil:
		return &downstream{side{server, channels, requests}}, nil
	case a.err != nil:
		return nil, a.err
	}
	return nil, clientFailure(ctx, err)
}

func (a *admission) config(key ssh.Signer) *ssh.ServerConfig {
	config := &ssh.ServerConfig{
		Config:                  algorithms(),
		PublicKeyAuthAlgorithms: ssh.SupportedAlgorithms().PublicKeyAuths,
		ServerVersion:           versionOpenSSH,
		PreAuthConnCallback: func(pre ssh.ServerPreAuthConn) {
			a.pre = pre
			a.releasing.of(pre)
		},
		// The client needs no credentials, and may show whichever it has.
		NoClientAuth:         true,
		NoClientAuthCallback: a.admit,
		PasswordCallback:     func(m ssh.ConnMetadata, _ []byte) (*ssh.Permissions, error) { return a.admit(m) },
		PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
			return nil, nil
		},
		VerifiedPublicKeyCallback: func(m ssh.ConnMetadata, _ ssh.PublicKey, _ *ssh.Permissions, _ string) (*ssh.Permissions, error) {
			return a.admit(m)
		},
		KeyboardInteractiveCallback: func(m ssh.ConnMetadata, _ ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			return a.admit(m)
		},
	}
	config.AddHostKey(key)
	return config
}

// admit answers the client's request once the target is there. A failure is
// shown as a banner (RFC 4252 section 5.4) and ends the connection: an empty
// list of methods to go on with makes the library hang up, where any other
// error would have the client try its keys and ask its user for a password.
func (a *admission) admit(m ssh.ConnMetadata) (*ssh.Permissions, error) {
	a.conn.decide(func() {
		a.err = a.login(a.ctx, m, a.tell)
		if f := database.ToTell(a.err); a.err != nil && f != nil {
			a.tell(fmt.Sprintf("secretless: %s: %s\r\n", a.session.Service, database.Clean(f.Error())))
		}
	})
	if a.err != nil {
		return nil, &ssh.PartialSuccessError{}
	}
	return nil, nil
}

// tell shows the client a banner. One that cannot be written is lost with the
// connection, which is noticed elsewhere.
func (a *admission) tell(text string) {
	_ = a.pre.SendAuthBanner(text)
}

// clientFailure is the failure for a client that did not come to its
// authentication; nothing can be sent to it.
func clientFailure(ctx context.Context, err error) error {
	const what = "reading the client's SSH handshake"
	switch {
	case ctx.Err() != nil:
		return database.Untold(connector.KindTimeout, fmt.Errorf("%s: %w", what, context.Cause(ctx)))
	case target.IsClosed(err), isAuthEnd(err):
		return database.Untold(connector.KindClientGone, fmt.Errorf("%s: the client left", what))
	}
	return database.Untold(connector.KindProtocol, fmt.Errorf("%s: %s", what, database.Quote(strings.TrimPrefix(err.Error(), "ssh: "))))
}

// isAuthEnd says whether the client left between two authentication requests.
func isAuthEnd(err error) bool {
	_, ok := errors.AsType[*ssh.ServerAuthError](err)
	return ok
}
