package database

import (
	"context"
	"crypto/tls"
	"net"

	"secretless/internal/connector"
	"secretless/internal/secret"
	"secretless/internal/stage"
	"secretless/internal/target"
)

// Plan is where a target is and how the connection to it is protected.
type Plan struct {
	Address target.Address
	Mode    target.Mode
	// TLS is nil for Disable. It serves any number of connections.
	TLS *tls.Config
	// Credential is the one that Address is from, for errors; empty: host and
	// port.
	Credential string
}

// Options are what the protocols do differently.
type Options struct {
	// DefaultMode is the meaning of an absent sslmode.
	DefaultMode target.Mode
	// VerifyIfRoot makes require with sslrootcert verify as verify-ca does.
	VerifyIfRoot bool
	// NextProtos are the ALPN protocols to offer.
	NextProtos []string
}

// ReadAddress is the address in the credentials host and port.
func ReadAddress(set *secret.Set, defaultPort int) (target.Address, error) {
	return target.ParseAddress(set.Text("host", ""), set.Text("port", ""), defaultPort)
}

// ReadPlan makes the plan for address of the ssl credentials. A unix socket
// does not leave the machine and is never encrypted. Its errors are about one
// credential and the user's to mend.
func ReadPlan(set *secret.Set, address target.Address, o Options) (Plan, error) {
	mode, err := target.ParseMode(set.Text("sslmode", ""), o.DefaultMode)
	if err != nil {
		return Plan{}, err
	}
	return PlanFor(set, address, mode, o)
}

// PlanFor is ReadPlan with the mode decided by the caller.
func PlanFor(set *secret.Set, address target.Address, mode target.Mode, o Options) (Plan, error) {
	if address.Unix() {
		mode = target.Disable
	}
	files := target.TLS{
		Mode:         mode,
		ServerName:   set.Text("sslhost", ""),
		VerifyIfRoot: o.VerifyIfRoot,
		NextProtos:   o.NextProtos,
	}
	files.RootCert, _ = set.Get("sslrootcert")
	files.Cert, _ = set.Get("sslcert")
	files.Key, _ = set.Get("sslkey")
	config, err := target.ClientConfig(address.Host, files)
	return Plan{Address: address, Mode: mode, TLS: config}, err
}

// Dial connects, without encryption, within ctx. Its error is a
// *connector.Failure.
func (p Plan) Dial(ctx context.Context) (net.Conn, error) {
	ctx, end := stage.Begin(ctx, stage.Dial, p.Address.String())
	conn, err := target.Dial(ctx, target.Options{Address: p.Address, Credential: p.Credential})
	end(err)
	if err != nil {
		return nil, DialFailure(ctx, p.Address.String(), err)
	}
	return conn, nil
}

// Encrypt makes conn a TLS connection within ctx. The caller still owns conn
// on failure, which is a *connector.Failure.
func (p Plan) Encrypt(ctx context.Context, conn net.Conn) (*tls.Conn, error) {
	ctx, end := stage.Begin(ctx, stage.TLS, p.Address.String())
	upgraded, err := target.Handshake(ctx, conn, p.TLS, p.Address.String())
	end(err)
	if err != nil {
		return nil, DialFailure(ctx, p.Address.String(), err)
	}
	return upgraded, nil
}

// At is p with the address that conn really has: a name may stand for several
// targets.
func (p Plan) At(conn net.Conn) Plan {
	remote, ok := conn.RemoteAddr().(*net.TCPAddr)
	if ok {
		host := remote.IP.String()
		if remote.Zone != "" {
			host += "%" + remote.Zone
		}
		p.Address = target.Address{Host: host, Port: remote.Port}
	}
	return p
}

// Within runs open under the session's connect timeout.
func Within(ctx context.Context, s *connector.Session, open func(context.Context) (net.Conn, error)) (net.Conn, error) {
	if s.ConnectTimeout > 0 {
		inner, cancel := context.WithTimeout(ctx, s.ConnectTimeout)
		defer cancel()
		ctx = inner
	}
	return open(ctx)
}
