package target

import (
	"context"
	"errors"
	"net"
	"time"

	"secretless/internal/sockio"
)

// Options says how to dial.
type Options struct {
	Address Address
	// KeepAlive is the time between probes of an idle TCP connection; zero
	// means 15 seconds, negative none.
	KeepAlive time.Duration
	// Credential is what an error says where the address is from; empty: host
	// and port.
	Credential string
}

// Dial connects within ctx, which should have a deadline. All addresses of a
// name are tried, IPv6 and IPv4 side by side (RFC 8305). TCP_NODELAY is set. The
// connection is one of package sockio's, which a relay takes apart by itself.
// The error is an *Error.
func Dial(ctx context.Context, o Options) (net.Conn, error) {
	dialer := net.Dialer{KeepAlive: o.KeepAlive}
	conn, err := dialer.DialContext(ctx, o.Address.Network(), o.Address.String())
	if err != nil {
		return nil, dialError(o, err)
	}
	return sockio.Conn(conn), nil
}

func dialError(o Options, err error) *Error {
	op := OpConnect
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		op = OpResolve
	}
	return &Error{Op: op, Address: o.Address.String(), Err: err, Credential: o.Credential}
}
