package postgres

import (
	"context"
	"crypto/md5"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"github.com/jackc/pgx/v5/pgproto3"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/fips"
)

// Requests for authentication that pgproto3 has no name for.
const (
	authKerberosV5 = 2
	authCrypt      = 4
)

// stage is how far an authentication has come. Nothing may come twice or out
// of order: a target that says AuthenticationOk in the middle of SCRAM has not
// proved that it knows the password.
type stage int

const (
	stageStart stage = iota
	stageContinue
	stageFinal
	stageAnswered // nothing but AuthenticationOk may follow
)

// authenticator answers the target's requests for authentication.
type authenticator struct {
	login *login
	stage stage
	scram *exchange
	bound bool // the channel is bound to the certificate
	clear bool // the target was given the password itself
}

func newAuthenticator(l *login) authenticator { return authenticator{login: l} }

// close releases the derived keys.
func (a *authenticator) close() {
	if a.scram != nil {
		a.scram.keys.release()
	}
}

// disclosed is the password if the target was given it.
func (a *authenticator) disclosed() []byte {
	if !a.clear {
		return nil
	}
	return a.login.settings.password.Bytes()
}

// handle answers one request; done means AuthenticationOk.
func (a *authenticator) handle(ctx context.Context, body []byte) (done bool, err error) {
	if len(body) < 4 {
		return false, a.malformed()
	}
	code := binary.BigEndian.Uint32(body)
	if want, ok := wantedStage(code); ok && a.stage != want {
		return false, database.ProtocolError("logging in: the target %s sent authentication request %d out of order; refusing to go on", a.login.address(), code)
	}
	if err := a.permitted(code); err != nil {
		return false, err
	}
	switch code {
	case pgproto3.AuthTypeOk:
		return true, a.ok()
	case pgproto3.AuthTypeCleartextPassword:
		return false, a.cleartext()
	case pgproto3.AuthTypeMD5Password:
		return false, a.md5(body)
	case pgproto3.AuthTypeSASL:
		return false, a.saslStart(body)
	case pgproto3.AuthTypeSASLContinue:
		return false, a.saslContinue(ctx, body)
	case pgproto3.AuthTypeSASLFinal:
		return false, a.saslFinal(body)
	}
	return false, database.Failure(connector.KindTarget, "logging in: the target %s demands %s authentication, which the broker does not speak; let its pg_hba.conf ask for scram-sha-256, md5, password or cert", a.login.address(), methodName(code))
}

// wantedStage is the only stage at which a request may come. AuthenticationOk
// has two, and ok looks itself.
func wantedStage(code uint32) (stage, bool) {
	switch code {
	case pgproto3.AuthTypeCleartextPassword, pgproto3.AuthTypeMD5Password, pgproto3.AuthTypeSASL:
		return stageStart, true
	case pgproto3.AuthTypeSASLContinue:
		return stageContinue, true
	case pgproto3.AuthTypeSASLFinal:
		return stageFinal, true
	}
	return 0, false
}

// permitted says whether the configuration lets the target ask for this at
// all. It comes before anything is sent: what a target learns from an answer,
// it keeps, whatever is refused later.
func (a *authenticator) permitted(code uint32) error {
	config := &a.login.connector.config
	method := ""
	switch {
	case code == pgproto3.AuthTypeOk && a.stage == stageStart:
		method = methodNone
	case code == pgproto3.AuthTypeCleartextPassword:
		method = methodPassword
	case code == pgproto3.AuthTypeMD5Password:
		method = methodMD5
	case code == pgproto3.AuthTypeSASL:
		method = methodScram
	default:
		return nil // not a method of its own, or none that the broker speaks
	}
	if !config.allows(method) {
		return database.Failure(connector.KindTarget, "logging in: the target %s asks for %s authentication, which requireAuth does not list; somebody may be in the middle, or the list is too short", a.login.address(), method)
	}
	if config.ChannelBinding == bindingRequire && (method == methodPassword || method == methodMD5) {
		return database.Failure(connector.KindTarget, "logging in: the target %s asks for %s authentication, which proves nothing about its certificate; channelBinding require demands %s", a.login.address(), method, mechanismPlus)
	}
	return nil
}

func (a *authenticator) ok() error {
	if a.stage == stageContinue || a.stage == stageFinal {
		return database.ProtocolError("logging in: the target %s claims success in the middle of SCRAM, without proof that it knows the password; refusing to go on", a.login.address())
	}
	if a.login.connector.config.ChannelBinding == bindingRequire && !a.bound {
		return database.Failure(connector.KindTarget, "logging in: the target %s did not bind the login to its certificate, which channelBinding require demands", a.login.address())
	}
	return nil
}

func (a *authenticator) cleartext() error {
	if err := a.needPassword(); err != nil {
		return err
	}
	if !a.private() && !a.login.connector.config.AllowCleartext {
		return database.Failure(connector.KindConfig, "logging in: the target %s asks for the password in clear text over an unencrypted connection; set sslmode to require or stronger, or allowCleartext: true in config if the network is safe", a.login.address())
	}
	a.stage, a.clear = stageAnswered, true
	return a.sendPassword(a.login.settings.password.Borrow())
}

// private says whether nobody on the way can read.
func (a *authenticator) private() bool {
	return a.tls() != nil || a.login.settings.plan.Address.Unix()
}

func (a *authenticator) tls() *tls.Conn {
	conn, _ := a.login.conn.(*tls.Conn)
	return conn
}

func (a *authenticator) md5(body []byte) error {
	var request pgproto3.AuthenticationMD5Password
	if request.Decode(body) != nil {
		return a.malformed()
	}
	if err := a.needPassword(); err != nil {
		return err
	}
	if err := fips.Refuse("MD5 authentication", "let the server ask for scram-sha-256"); err != nil {
		return database.Failure(connector.KindConfig, "logging in: the target %s: %w", a.login.address(), err)
	}
	a.stage = stageAnswered
	s := a.login.settings
	inner := hexMD5(s.password.Bytes(), []byte(s.username))
	return a.sendPassword("md5" + string(hexMD5(inner, request.Salt[:])))
}

func hexMD5(parts ...[]byte) []byte {
	joined := slices.Concat(parts...)
	sum := md5.Sum(joined)
	clear(joined)
	return hex.AppendEncode(nil, sum[:])
}

// sendPassword sends a PasswordMessage and wipes the message.
func (a *authenticator) sendPassword(password string) error {
	// Room for all of it at once, so that no copy is left behind by growing.
	message := make([]byte, 0, len(password)+headerSize+1)
	message, err := (&pgproto3.PasswordMessage{Password: password}).Encode(message)
	defer clear(message)
	if err != nil {
		return err
	}
	return a.login.send(message)
}

func (a *authenticator) needPassword() error {
	if a.login.settings.password.Len() > 0 {
		return nil
	}
	return database.Failure(connector.KindConfig, "logging in: the target %s asks for a password, and the credential password is absent or empty", a.login.address())
}

func (a *authenticator) malformed() error {
	return database.ProtocolError("logging in: the target %s sent a malformed authentication request", a.login.address())
}

func methodName(code uint32) string {
	switch code {
	case pgproto3.AuthTypeGSS, pgproto3.AuthTypeGSSCont:
		return "GSSAPI"
	case pgproto3.AuthTypeSSPI:
		return "SSPI"
	case authKerberosV5:
		return "Kerberos V5"
	case pgproto3.AuthTypeSCMCreds:
		return "SCM credential"
	case authCrypt:
		return "crypt"
	}
	return "unknown"
}
