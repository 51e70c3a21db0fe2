package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgproto3"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
)

// TargetError is the target's own error, and the Native of a Failure. It goes
// to the client byte for byte, with what the target sent before it.
type TargetError struct {
	// Code is the SQLSTATE, Message the primary text.
	Code, Message string
	raw           []byte
}

// Error is the target's text, made harmless for a log.
func (e *TargetError) Error() string {
	return fmt.Sprintf("%s (SQLSTATE %s)", database.Quote(e.Message), database.Clean(e.Code))
}

// codedError is a failure with a SQLSTATE other than its kind's.
type codedError struct {
	code string
	text string
}

func (e *codedError) Error() string { return e.text }

func coded(sqlstate string, kind connector.Kind, text string) error {
	return &connector.Failure{Kind: kind, Err: &codedError{sqlstate, text}}
}

// sqlstate is the code that a client gets for a failure of the broker's own.
func sqlstate(kind connector.Kind) string {
	switch kind {
	case connector.KindCredentials, connector.KindConfig, connector.KindTarget:
		return "08004" // sqlserver_rejected_establishment_of_sqlconnection
	case connector.KindResolve, connector.KindConnect, connector.KindTLS, connector.KindTimeout:
		return "08001" // sqlclient_unable_to_establish_sqlconnection
	case connector.KindTargetLost:
		return "08006" // connection_failure
	case connector.KindRejected:
		return "28P01" // invalid_password
	case connector.KindDenied:
		return "28000" // invalid_authorization_specification
	case connector.KindProtocol:
		return "08P01" // protocol_violation
	case connector.KindLimit:
		return "53300" // too_many_connections
	case connector.KindStopping:
		return "57P03" // cannot_connect_now
	}
	return "XX000" // internal_error
}

// response is what the client is sent for err; nil where nothing can be sent.
func response(s *connector.Session, err error) []byte {
	f := database.ToTell(err)
	if f == nil {
		return nil
	}
	if native, ok := f.Native.(*TargetError); ok {
		return native.raw
	}
	code := sqlstate(f.Kind)
	if own, ok := errors.AsType[*codedError](f.Err); ok {
		code = own.code
	}
	message := pgproto3.ErrorResponse{
		Severity:            "FATAL",
		SeverityUnlocalized: "FATAL",
		Code:                code,
		Message:             "secretless: " + database.Clean(f.Error()),
		Hint:                fmt.Sprintf("Service %s, connection %d: the log of the broker says more.", database.Clean(s.Service), s.ID),
	}
	out, err := message.Encode(nil)
	if err != nil {
		return nil
	}
	return out
}

// targetFailure is database.TargetFailure, with a word on lengths that no
// PostgreSQL sends.
func targetFailure(ctx context.Context, address, what string, err error) error {
	if length, ok := errors.AsType[errLength](err); ok && ctx.Err() == nil {
		return database.ProtocolError("%s: the target %s sent a message whose %w; does it speak PostgreSQL?", what, address, length)
	}
	return database.TargetFailure(ctx, address, what, err)
}

// refusal is the failure for an ErrorResponse of the target during the login.
// before is what the client must see ahead of it. A target that repeats the
// password in its error is not quoted.
func refusal(address string, before, message []byte, password []byte) error {
	var decoded pgproto3.ErrorResponse
	if err := decoded.Decode(message[headerSize:]); err != nil {
		return database.ProtocolError("logging in: the target %s sent a malformed error", address)
	}
	kind := connector.KindTarget
	switch decoded.Code {
	case "28P01": // invalid_password
		kind = connector.KindRejected
	case "28000": // invalid_authorization_specification: pg_hba.conf, NOLOGIN, a role that is gone
		kind = connector.KindDenied
	}
	if len(password) > 0 && bytes.Contains(message, password) {
		return database.Failure(kind, "logging in: the target %s refused with an error that repeats the password, which is withheld", address)
	}
	raw := append(append([]byte(nil), before...), message...)
	native := &TargetError{Code: decoded.Code, Message: decoded.Message, raw: raw}
	return &connector.Failure{Kind: kind, Err: fmt.Errorf("the target %s refused the login: %w", address, native), Native: native}
}
