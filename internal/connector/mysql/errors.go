package mysql

import (
	"bytes"
	"errors"
	"fmt"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/wire/mysqlwire"
)

// TargetError is the target's own error, and the Native of a Failure. It goes
// to the client with its number, state and text.
type TargetError struct{ mysqlwire.ERR }

// Error is the target's text, made harmless for a log.
func (e *TargetError) Error() string {
	return fmt.Sprintf("%s (error %d, SQLSTATE %s)", database.Quote(e.Message), e.Number, database.Clean(e.state()))
}

// state is never empty: servers leave it out of an error in place of their
// greeting.
func (e *TargetError) state() string {
	if e.State == "" {
		return "HY000"
	}
	return e.State
}

// code is an error number and its SQLSTATE.
type code struct {
	number uint16
	state  string
}

// Errors of the protocol's that no kind stands for.
var (
	errOutOfOrder        = code{1156, "08S01"} // ER_NET_PACKETS_OUT_OF_ORDER
	errOldClient         = code{1251, "08004"} // ER_NOT_SUPPORTED_AUTH_MODE
	errInsecureTransport = code{3159, "HY000"} // ER_SECURE_TRANSPORT_REQUIRED
)

// codedError is a failure with a code other than its kind's.
type codedError struct {
	code code
	text string
}

func (e *codedError) Error() string { return e.text }

func coded(c code, kind connector.Kind, text string) error {
	return &connector.Failure{Kind: kind, Err: &codedError{c, text}}
}

// codeOf is what a client gets for a failure of the broker's own. Numbers from
// 2000 on are the client libraries' own, so a target that cannot be reached is
// the unknown error with a text that says it.
func codeOf(kind connector.Kind) code {
	switch kind {
	case connector.KindResolve, connector.KindConnect, connector.KindTLS, connector.KindTargetLost:
		return code{1105, "08S01"} // ER_UNKNOWN_ERROR, communication link failure
	case connector.KindCredentials, connector.KindConfig, connector.KindTarget:
		return code{1105, "08004"} // connection refused
	case connector.KindRejected, connector.KindDenied:
		return code{1045, "28000"} // ER_ACCESS_DENIED_ERROR
	case connector.KindProtocol:
		return code{1043, "08S01"} // ER_HANDSHAKE_ERROR
	case connector.KindTimeout:
		return code{1159, "08S01"} // ER_NET_READ_INTERRUPTED
	case connector.KindLimit:
		return code{1040, "08004"} // ER_CON_COUNT_ERROR
	case connector.KindStopping:
		return code{1053, "08S01"} // ER_SERVER_SHUTDOWN
	}
	return code{1105, "HY000"}
}

// response is the packet that the client is sent for err; nil where nothing
// can be sent.
func response(s *connector.Session, err error, sequence byte) []byte {
	f := database.ToTell(err)
	if f == nil {
		return nil
	}
	if native, ok := f.Native.(*TargetError); ok {
		return mysqlwire.ERR{Number: native.Number, State: native.state(), Message: native.Message}.Append(nil, sequence)
	}
	c := codeOf(f.Kind)
	if own, ok := errors.AsType[*codedError](f.Err); ok {
		c = own.code
	}
	text := fmt.Sprintf("secretless: %s (service %s, connection %d)", database.Clean(f.Error()), database.Clean(s.Service), s.ID)
	return mysqlwire.ERR{Number: c.number, State: c.state, Message: text}.Append(nil, sequence)
}

// refusal is the failure for an error packet of the target during the login. A
// target that repeats the password in its error is not quoted.
func refusal(address string, payload, password []byte) error {
	decoded, err := mysqlwire.ParseERR(payload)
	if err != nil {
		return database.ProtocolError("logging in: the target %s: %w", address, err)
	}
	kind := kindOf(decoded.Number)
	if len(password) > 0 && bytes.Contains(payload, password) {
		return database.Failure(kind, "logging in: the target %s refused with an error that repeats the password, which is withheld", address)
	}
	native := &TargetError{decoded}
	return &connector.Failure{Kind: kind, Err: fmt.Errorf("the target %s refused the login: %w", address, native), Native: native}
}

func kindOf(number uint16) connector.Kind {
	switch number {
	case 1045, // ER_ACCESS_DENIED_ERROR
		1698: // ER_ACCESS_DENIED_NO_PASSWORD_ERROR
		return connector.KindRejected
	case 1044, // ER_DBACCESS_DENIED_ERROR: of an account that loses its rights, too
		1862,       // ER_MUST_CHANGE_PASSWORD_LOGIN
		3118, 4151: // ER_ACCOUNT_HAS_BEEN_LOCKED, MySQL's and MariaDB's
		return connector.KindDenied
	}
	return connector.KindTarget
}
