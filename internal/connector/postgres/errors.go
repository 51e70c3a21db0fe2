package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"secretless/internal/connector"
	"secretless/internal/target"
)

// TargetError is the target's own error, and the Native of a Failure. It goes
// to the client byte for byte, with what the target sent before it.
type TargetError struct {
	// Code is the SQLSTATE, Message the primary text.
	Code, Message string
	raw           []byte
}

// maxErrorText bounds what of the target's text gets into ours.
const maxErrorText = 300

// Error is the target's text, made harmless for a log.
func (e *TargetError) Error() string {
	text := clean(e.Message)
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "…"
	}
	return fmt.Sprintf("%s (SQLSTATE %s)", text, clean(e.Code))
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

// untoldError is a failure that the client cannot be told, or has been told.
type untoldError struct{ error }

func (e untoldError) Unwrap() error { return e.error }

func untold(kind connector.Kind, err error) error {
	return &connector.Failure{Kind: kind, Err: untoldError{err}}
}

func protocolError(format string, args ...any) error {
	return failure(connector.KindProtocol, format, args...)
}

func failure(kind connector.Kind, format string, args ...any) error {
	return &connector.Failure{Kind: kind, Err: fmt.Errorf(format, args...)}
}

func clientGone(err error) error {
	return untold(connector.KindClientGone, fmt.Errorf("writing to the client: %w", err))
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
	f, ok := errors.AsType[*connector.Failure](err)
	if !ok {
		f = &connector.Failure{Kind: connector.KindInternal, Err: errors.New("the broker failed")}
	}
	if _, ok := errors.AsType[untoldError](f.Err); ok || f.Kind == connector.KindClientGone {
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
		Message:             "secretless: " + clean(f.Error()),
		Hint:                fmt.Sprintf("Service %s, connection %d: the log of the broker says more.", clean(s.Service), s.ID),
	}
	out, err := message.Encode(nil)
	if err != nil {
		return nil
	}
	return out
}

// clean makes text fit for a message field and a log line.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// targetFailure is the failure for err from reading from or writing to the
// target while doing what. ctx tells who gave up.
func targetFailure(ctx context.Context, address, what string, err error) error {
	if f, ok := errors.AsType[*connector.Failure](err); ok {
		return f
	}
	if ctx.Err() != nil {
		return interrupted(ctx, address, what)
	}
	var length errLength
	switch {
	case errors.As(err, &length):
		return protocolError("%s: the target %s sent a message whose %w; does it speak PostgreSQL?", what, address, length)
	case target.IsAlert(err):
		return failure(connector.KindTLS, "%w", &target.Error{Op: target.OpTLS, Address: address, Err: err})
	case isTimeout(err):
		return failure(connector.KindTimeout, "%s: the target %s did not answer in time", what, address)
	case target.IsClosed(err):
		return failure(connector.KindTargetLost, "%s: the target %s closed the connection; its log may say why", what, address)
	}
	return failure(connector.KindTargetLost, "%s: connection to the target %s lost: %w", what, address, err)
}

// interrupted is the failure for a context that ended: the handshake timeout,
// the client that left, or the broker that stops.
func interrupted(ctx context.Context, address, what string) error {
	cause := context.Cause(ctx)
	f, ok := errors.AsType[*connector.Failure](cause)
	switch {
	case ok && f.Kind == connector.KindClientGone:
		return f
	case ok && f.Kind == connector.KindTimeout:
		return failure(f.Kind, "%s: the target %s did not answer in time: %w", what, address, f)
	case ok:
		return failure(f.Kind, "%s: %w", what, f)
	case errors.Is(ctx.Err(), context.DeadlineExceeded), isTimeout(cause):
		return failure(connector.KindTimeout, "%s: the target %s did not answer in time", what, address)
	}
	return failure(connector.KindStopping, "%s: the service stops", what)
}

// dialFailure is the failure for an error of package target.
func dialFailure(ctx context.Context, address string, err error) error {
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return interrupted(ctx, address, "connecting")
	}
	e, ok := errors.AsType[*target.Error](err)
	switch {
	case !ok:
		return targetFailure(ctx, address, "connecting", err)
	case e.Timeout():
		return &connector.Failure{Kind: connector.KindTimeout, Err: e}
	case e.Op == target.OpResolve:
		return &connector.Failure{Kind: connector.KindResolve, Err: e}
	case e.Op == target.OpTLS:
		return &connector.Failure{Kind: connector.KindTLS, Err: e}
	}
	return &connector.Failure{Kind: connector.KindConnect, Err: e}
}

func isTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// refusal is the failure for an ErrorResponse of the target during the login.
// before is what the client must see ahead of it. A target that repeats the
// password in its error is not quoted.
func refusal(address string, before, message []byte, password []byte) error {
	var decoded pgproto3.ErrorResponse
	if err := decoded.Decode(message[headerSize:]); err != nil {
		return protocolError("logging in: the target %s sent a malformed error", address)
	}
	kind := connector.KindTarget
	switch decoded.Code {
	case "28P01": // invalid_password
		kind = connector.KindRejected
	case "28000": // invalid_authorization_specification: pg_hba.conf, NOLOGIN, a role that is gone
		kind = connector.KindDenied
	}
	if len(password) > 0 && bytes.Contains(message, password) {
		return failure(kind, "logging in: the target %s refused with an error that repeats the password, which is withheld", address)
	}
	raw := append(append([]byte(nil), before...), message...)
	native := &TargetError{Code: decoded.Code, Message: decoded.Message, raw: raw}
	return &connector.Failure{Kind: kind, Err: fmt.Errorf("the target %s refused the login: %w", address, native), Native: native}
}
