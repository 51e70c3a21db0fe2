package mysql

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/target"
	"secretless/internal/wire/mysqlwire"
)

// open reads the target's greeting, within the connect timeout.
func (l *login) open(ctx context.Context) error {
	_, err := database.Within(ctx, l.session, func(ctx context.Context) (net.Conn, error) {
		defer target.Watch(ctx, l.conn)()
		if err := l.readGreeting(); err != nil {
			what := "reading the greeting"
			if database.IsTimeout(err) { // other servers wait for the client to begin
				what = "waiting for the greeting with which a MySQL server begins"
			}
			return nil, l.failed(ctx, what, err)
		}
		return l.conn, nil
	})
	return err
}

func (l *login) readGreeting() error {
	payload, err := l.read()
	if err != nil {
		return err
	}
	if mysqlwire.KindOf(payload) == mysqlwire.KindERR {
		return refusal(l.address(), payload, nil)
	}
	l.greeting, err = mysqlwire.ParseHandshakeV10(payload)
	if version, ok := errors.AsType[mysqlwire.VersionError](err); ok {
		return database.ProtocolError("the target %s speaks version %d of MySQL's protocol, the broker 10 alone; does it speak MySQL?", l.address(), version.Version)
	}
	if err != nil {
		return err
	}
	const needed = mysqlwire.ClientProtocol41 | mysqlwire.ClientSecureConnection
	if missing := needed &^ l.greeting.Capabilities; missing != 0 {
		return database.Failure(connector.KindTarget, "the target %s does not offer %s; it is older than MySQL 4.1", l.address(), missing)
	}
	return nil
}

// checkOffer says whether the target has what the client was promised in its
// place. If not, the next client is promised less.
func (l *login) checkOffer() error {
	missing := l.client.negotiated() & binding &^ l.greeting.Capabilities
	if missing == 0 {
		return nil
	}
	l.connector.learned.lacks(l.greeting)
	return database.Failure(connector.KindTarget, "the target %s does not offer %s, which an earlier one did and which was promised to this client; connect again", l.address(), missing)
}

func (l *login) encrypted() bool { return l.tls() != nil }

func (l *login) tls() *tls.Conn {
	conn, _ := l.conn.(*tls.Conn)
	return conn
}

// private says whether nobody on the way can read.
func (l *login) private() bool { return l.encrypted() || l.settings.plan.Address.Unix() }

// encrypt starts TLS as the plan demands, within the connect timeout. What the
// target sent in plain text behind its greeting would be taken for the word of
// whoever the certificate names, so nothing may be there.
func (l *login) encrypt(ctx context.Context) error {
	plan := l.settings.plan
	switch {
	case plan.Mode == target.Disable:
		return nil
	case !l.greeting.Capabilities.Has(mysqlwire.ClientSSL) && plan.Mode == target.Prefer:
		return nil
	case !l.greeting.Capabilities.Has(mysqlwire.ClientSSL):
		return database.Failure(connector.KindTLS, "the target %s does not offer TLS, which sslmode %s demands; enable it there, or set sslmode to disable if the network is safe", l.address(), plan.Mode)
	case l.in.Buffered() > 0:
		return database.ProtocolError("the target %s sent unencrypted data behind its greeting; a faulty server or somebody in the middle", l.address())
	}
	upgraded, err := database.Within(ctx, l.session, func(ctx context.Context) (net.Conn, error) {
		if err := l.askTLS(ctx); err != nil {
			return nil, l.failed(ctx, "asking for TLS", err)
		}
		return plan.Encrypt(ctx, l.conn)
	})
	if connector.KindOf(err) == connector.KindTLS && l.sessions.failed() {
		return errNotResumed
	}
	if err != nil {
		return err
	}
	l.conn = upgraded
	l.in.Reset(upgraded)
	return nil
}

func (l *login) askTLS(ctx context.Context) error {
	defer target.Watch(ctx, l.conn)()
	return l.write(l.response().AppendSSLRequest(nil, l.sequence))
}
