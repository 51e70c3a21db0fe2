package target

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// Op is the step of reaching a target that failed.
type Op string

// The steps.
const (
	OpResolve Op = "resolve" // the name has no address, or could not be looked up
	OpConnect Op = "connect" // no connection to any address of the target
	OpTLS     Op = "tls"     // the handshake failed or the certificate was not accepted
)

// Error is why a target could not be reached. Its text names the target and
// says what to do.
type Error struct {
	Op Op
	// Address is host:port or the socket's path.
	Address string
	Err     error
	// Credential is the one that Address is from; empty: host and port.
	Credential string
}

// Error says what failed, where, why and what to do.
func (e *Error) Error() string {
	switch e.Op {
	case OpResolve:
		return fmt.Sprintf("resolving the target %s: %s", e.Address, e.resolveReason())
	case OpTLS:
		return fmt.Sprintf("TLS with the target %s: %s", e.Address, tlsReason(e.Err))
	}
	return fmt.Sprintf("connecting to the target %s: %s", e.Address, e.connectReason())
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Timeout says whether time ran out.
func (e *Error) Timeout() bool { return isTimeout(e.Err) }

// NotFound says whether the name, or the socket's file, does not exist.
func (e *Error) NotFound() bool {
	if lookup, ok := errors.AsType[*net.DNSError](e.Err); ok {
		return lookup.IsNotFound
	}
	return errors.Is(e.Err, fs.ErrNotExist)
}

// Refused says whether a machine answered that nothing listens there.
func (e *Error) Refused() bool {
	return errors.Is(e.Err, syscall.ECONNREFUSED) || errors.Is(e.Err, platformRefused)
}

func (e *Error) resolveReason() string {
	switch {
	case e.NotFound():
		return "no such host; check " + e.host() + ", and the name server of the broker's machine"
	case e.Timeout():
		return "the name server did not answer in time; check the name service of the broker's machine"
	}
	return reason(e.Err) + "; check " + e.host() + ", and the name server of the broker's machine"
}

func (e *Error) connectReason() string {
	switch {
	case e.Refused():
		return "connection refused; check that the target runs there and " + e.place()
	case e.NotFound():
		return "no such socket file; check that the target runs and " + e.host()
	case errors.Is(e.Err, fs.ErrPermission):
		return "permission denied; let the broker's user reach the target"
	case e.Timeout():
		return "no answer in time; check " + e.place() + ", and firewalls on the way"
	}
	return reason(e.Err) + "; check " + e.place() + ", and the network"
}

// host names what the name of the target is read from.
func (e *Error) host() string {
	return "the credential " + cmp.Or(e.Credential, "host")
}

// place names what the whole address is read from.
func (e *Error) place() string {
	if e.Credential != "" {
		return e.host()
	}
	return "the credentials host and port"
}

// reason is the innermost part of a network error: the address is in the text
// already, and the local one would only confuse.
func reason(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		err = op.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		err = call.Err
	}
	return err.Error()
}

func isTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// IsClosed says whether err means that the other side ended the connection, in
// order or with a reset.
func IsClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
