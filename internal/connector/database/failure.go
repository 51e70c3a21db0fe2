package database

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"unicode"

	"secretless/internal/connector"
	"secretless/internal/target"
)

// Failure makes a *connector.Failure of a kind and a text.
func Failure(kind connector.Kind, format string, args ...any) error {
	return &connector.Failure{Kind: kind, Err: fmt.Errorf(format, args...)}
}

// ProtocolError is a Failure of KindProtocol.
func ProtocolError(format string, args ...any) error {
	return Failure(connector.KindProtocol, format, args...)
}

// untoldError is a failure that the client cannot be told, or has been told.
type untoldError struct{ error }

func (e untoldError) Unwrap() error { return e.error }

// Untold is a Failure about which nothing can be sent to the client.
func Untold(kind connector.Kind, err error) error {
	return &connector.Failure{Kind: kind, Err: untoldError{err}}
}

// ClientGone is the failure for an error of writing to the client.
func ClientGone(err error) error {
	return Untold(connector.KindClientGone, fmt.Errorf("writing to the client: %w", err))
}

// ToTell is the failure that the client should be told for err; nil where
// nothing can be sent. An error that is no Failure is the broker's own and its
// text stays in the log.
func ToTell(err error) *connector.Failure {
	f, ok := errors.AsType[*connector.Failure](err)
	if !ok {
		return &connector.Failure{Kind: connector.KindInternal, Err: errors.New("the broker failed")}
	}
	if _, ok := errors.AsType[untoldError](f.Err); ok || f.Kind == connector.KindClientGone {
		return nil
	}
	return f
}

// TargetFailure is the failure for err from reading from or writing to the
// target while doing what. ctx tells who gave up. Failures pass as they are;
// errors of the protocol's codec are the connector's to translate before.
func TargetFailure(ctx context.Context, address, what string, err error) error {
	if f, ok := errors.AsType[*connector.Failure](err); ok {
		return f
	}
	switch {
	case ctx.Err() != nil:
		return Interrupted(ctx, address, what)
	case target.IsAlert(err):
		return Failure(connector.KindTLS, "%w", &target.Error{Op: target.OpTLS, Address: address, Err: err})
	case IsTimeout(err):
		return Failure(connector.KindTimeout, "%s: the target %s did not answer in time", what, address)
	case target.IsClosed(err):
		return Failure(connector.KindTargetLost, "%s: the target %s closed the connection; its log may say why", what, address)
	}
	return Failure(connector.KindTargetLost, "%s: connection to the target %s lost: %w", what, address, err)
}

// Interrupted is the failure for a context that ended: the handshake timeout,
// the client that left, or the broker that stops.
func Interrupted(ctx context.Context, address, what string) error {
	cause := context.Cause(ctx)
	f, ok := errors.AsType[*connector.Failure](cause)
	switch {
	case ok && f.Kind == connector.KindClientGone:
		return f
	case ok && f.Kind == connector.KindTimeout:
		return Failure(f.Kind, "%s: the target %s did not answer in time: %w", what, address, f)
	case ok:
		return Failure(f.Kind, "%s: %w", what, f)
	case errors.Is(ctx.Err(), context.DeadlineExceeded), IsTimeout(cause):
		return Failure(connector.KindTimeout, "%s: the target %s did not answer in time", what, address)
	}
	return Failure(connector.KindStopping, "%s: the service stops", what)
}

// DialFailure is the failure for an error of package target.
func DialFailure(ctx context.Context, address string, err error) error {
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return Interrupted(ctx, address, "connecting")
	}
	e, ok := errors.AsType[*target.Error](err)
	switch {
	case !ok:
		return TargetFailure(ctx, address, "connecting", err)
	case e.Timeout():
		return &connector.Failure{Kind: connector.KindTimeout, Err: e}
	case e.Op == target.OpResolve:
		return &connector.Failure{Kind: connector.KindResolve, Err: e}
	case e.Op == target.OpTLS:
		return &connector.Failure{Kind: connector.KindTLS, Err: e}
	}
	return &connector.Failure{Kind: connector.KindConnect, Err: e}
}

// IsTimeout says whether time ran out.
func IsTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// maxErrorText bounds what of a target's text gets into a message of ours.
const maxErrorText = 300

// Clean makes a peer's text fit for a message field, a log line and the
// terminal that shows it: what is not printed becomes a blank.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// Quote is Clean, bounded.
func Quote(text string) string {
	text = Clean(text)
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "…"
	}
	return text
}
