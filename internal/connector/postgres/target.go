package postgres

import (
	"context"
	"errors"
	"net"

	"github.com/jackc/pgx/v5/pgproto3"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/target"
)

// plan is how to reach a target.
type plan struct {
	database.Plan
	// direct starts TLS without an SSLRequest.
	direct bool
}

// open connects and, as the plan demands, encrypts. The caller closes conn; on
// failure nothing is left open. ctx bounds it all.
func (p plan) open(ctx context.Context) (conn net.Conn, err error) {
	raw, err := p.Dial(ctx)
	if err != nil {
		return nil, err
	}
	if conn, err = p.encrypt(ctx, raw); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return conn, nil
}

func (p plan) encrypt(ctx context.Context, raw net.Conn) (net.Conn, error) {
	if p.Mode == target.Disable {
		return raw, nil
	}
	if !p.direct {
		encrypted, err := p.ask(ctx, raw)
		if err != nil {
			return nil, err
		}
		if !encrypted {
			return raw, nil
		}
	}
	upgraded, err := p.Encrypt(ctx, raw)
	if err != nil {
		return nil, err
	}
	if p.direct && upgraded.ConnectionState().NegotiatedProtocol != alpn {
		return nil, database.Failure(connector.KindTLS, "%w", &target.Error{Op: target.OpTLS, Address: p.Address.String(), Err: errNoDirect})
	}
	return upgraded, nil
}

var errNoDirect = errors.New("the target does not speak PostgreSQL over direct TLS (ALPN); sslnegotiation direct needs PostgreSQL 17 or newer")

// ask sends an SSLRequest. Exactly one byte of the answer is read: what is sent
// in plain text behind it reaches the TLS handshake, which fails on it.
func (p plan) ask(ctx context.Context, raw net.Conn) (encrypted bool, err error) {
	defer target.Watch(ctx, raw)()
	request, err := (&pgproto3.SSLRequest{}).Encode(nil)
	if err != nil {
		return false, err
	}
	var answer [1]byte
	if _, err = raw.Write(request); err == nil {
		_, err = raw.Read(answer[:])
	}
	address := p.Address.String()
	if err != nil {
		return false, targetFailure(ctx, address, "asking for TLS", err)
	}
	switch answer[0] {
	case 'S':
		return true, nil
	case 'N':
		if p.Mode == target.Prefer {
			return false, nil
		}
		return false, database.Failure(connector.KindTLS, "the target %s does not offer TLS, which sslmode %s demands; enable it there, or set sslmode to disable if the network is safe", address, p.Mode)
	case 'E':
		// Its text came over an unprotected connection and is not repeated.
		return false, database.Failure(connector.KindTarget, "the target %s answered the request for TLS with an error; it may be out of processes or memory, or too old for TLS", address)
	}
	return false, database.ProtocolError("the target %s answered the request for TLS with byte %#x; does it speak PostgreSQL?", address, answer[0])
}
