package mssql

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/target"
	"secretless/internal/wire/tds"
)

// protect makes config fit for SQL Server: see tds.TLSConn and tds.Aligned.
func protect(config *tls.Config, strict bool) {
	config.DynamicRecordSizingDisabled = true
	if !strict {
		config.MaxVersion = tls.VersionTLS12
	}
}

// errPlain is a target without TLS, to a client that can do without.
var errPlain = errors.New("the target has no TLS")

// reach connects to the target, as far as LOGIN7. The caller closes conn; on
// failure nothing is left open.
func (l *login) reach(ctx context.Context) error {
	err := l.connect(ctx, l.ask())
	if errors.Is(err, errPlain) {
		// A client that asked for TLS must give up on this answer ([MS-TDS]
		// 2.2.6.5), so prefer asks once more, on a new connection.
		err = l.connect(ctx, tds.EncryptNotSupported)
	}
	return err
}

// ask is what the target is asked for.
func (l *login) ask() tds.Encryption {
	switch {
	case l.settings.protection.strict:
		return tds.EncryptStrict
	case l.plan.Mode == target.Disable:
		return tds.EncryptNotSupported
	}
	return tds.EncryptOn
}

func (l *login) connect(ctx context.Context, ask tds.Encryption) error {
	raw, err := l.plan.Dial(ctx)
	if err != nil {
		return err
	}
	if err := l.negotiate(ctx, raw, ask); err != nil {
		_ = raw.Close()
		return err
	}
	return nil
}

func (l *login) negotiate(ctx context.Context, raw net.Conn, ask tds.Encryption) error {
	if ask == tds.EncryptStrict {
		conn, err := l.plan.Encrypt(ctx, raw)
		if err != nil {
			return err
		}
		l.use(tds.Align(conn), true)
		_, err = l.prelogin(ctx, ask)
		return err
	}
	l.use(raw, false)
	answer, err := l.prelogin(ctx, ask)
	if err != nil {
		return err
	}
	encrypt, err := l.agreed(ask, answer)
	if err != nil || !encrypt {
		return err
	}
	wrapped := tds.NewTLSConn(raw)
	conn, err := l.plan.Encrypt(ctx, wrapped)
	if err != nil {
		return err
	}
	wrapped.HandshakeDone()
	l.use(tds.Align(conn), true)
	return nil
}

// use makes conn the connection to read from and write to.
func (l *login) use(conn net.Conn, encrypted bool) {
	l.conn, l.encrypted = conn, encrypted
	l.in.Reset(conn)
}

// prelogin exchanges PRELOGIN with the target.
func (l *login) prelogin(ctx context.Context, ask tds.Encryption) (tds.Encryption, error) {
	const what = "asking for TLS"
	defer target.Watch(ctx, l.conn)()
	body := question(l.client.prelogin, l.client.mars, ask).Append(nil)
	if _, err := l.conn.Write(tds.AppendMessage(nil, tds.TypePrelogin, 0, tds.LoginPacketSize, body)); err != nil {
		return 0, l.failed(ctx, what, err)
	}
	m, err := tds.ReadMessage(l.in, tds.TypeReply, maxPrelogin)
	if err != nil {
		return 0, l.failed(ctx, what, err)
	}
	answer, err := tds.ParsePrelogin(m.Body)
	if err != nil {
		return 0, l.failed(ctx, what, err)
	}
	if l.in.Buffered() > 0 {
		return 0, database.ProtocolError("%s: the target %s sent more than was asked for; a faulty server or somebody in the middle", what, l.plan.Address)
	}
	l.connector.learn(answer, l.client.mars)
	if l.client.mars && !answer.MARS() {
		return 0, coded(numberUnsupported, connector.KindTarget, "the target "+l.plan.Address.String()+" has no MARS (MultipleActiveResultSets), which the client was promised; connect once more, it will be told so in time")
	}
	return answer.Encryption(), nil
}

// agreed says whether ask and the target's answer mean encryption.
func (l *login) agreed(ask, answer tds.Encryption) (encrypt bool, err error) {
	address, mode := l.plan.Address, l.settings.protection
	switch {
	case ask == tds.EncryptNotSupported && answer == tds.EncryptNotSupported:
		return false, nil
	case ask == tds.EncryptNotSupported && (answer == tds.EncryptRequired || answer == tds.EncryptOn):
		return false, database.Failure(connector.KindTLS, "the target %s demands encryption, which sslmode %s rules out; set sslmode to verify-full or require", address, mode)
	case ask == tds.EncryptOn && (answer == tds.EncryptOn || answer == tds.EncryptRequired):
		return true, nil
	case ask == tds.EncryptOn && answer == tds.EncryptNotSupported && mode.mode == target.Prefer:
		return false, errPlain
	case ask == tds.EncryptOn && answer == tds.EncryptNotSupported:
		return false, database.Failure(connector.KindTLS, "the target %s does not offer TLS, which sslmode %s demands; enable it there, or set sslmode to disable if the network is safe", address, mode)
	}
	return false, database.ProtocolError("asking for TLS: the target %s gave answer %#02x to question %#02x, which is none", address, byte(answer), byte(ask))
}
