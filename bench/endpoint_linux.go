package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
)

// loopback is the only address anything here listens on or connects to.
const loopback = "127.0.0.1"

// Whom every target knows, and where.
const (
	benchUser     = "bench"
	benchDatabase = "bench"
)

// endpoint is where a client connects, and as whom. What a protocol's clients
// make of it is in that protocol's file.
type endpoint struct {
	port      int    // on loopback
	socket    string // path of a unix socket, which is then taken instead
	user      string
	password  string // empty where a relay logs in on the client's behalf
	database  string
	encrypted bool // the client opens TLS, and verifies nothing
	jump      bool // an SSH server that the client goes through with ssh -W
	// What HTTP clients ask for by a URL, and through whom; empty for directly.
	targetPort int
	through    string
}

// network and address are for net.Dial.
func (e endpoint) network() string {
	if e.socket != "" {
		return "unix"
	}
	return "tcp"
}

func (e endpoint) address() string {
	if e.socket != "" {
		return e.socket
	}
	return net.JoinHostPort(loopback, strconv.Itoa(e.port))
}

// dial opens and closes a connection: somebody listens.
func (e endpoint) dial(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, e.network(), e.address())
	if err != nil {
		return err
	}
	return conn.Close()
}

// sslmode is what libpq, PgBouncer and the broker call it.
func sslmode(encrypted bool) string {
	if encrypted {
		return "require"
	}
	return "disable"
}

// socketPath is where libpq looks for a server's unix socket, by its directory
// and a port. The other protocols' clients are told the path.
func socketPath(dir string, port int) string {
	return filepath.Join(dir, ".s.PGSQL."+strconv.Itoa(port))
}

// freePort returns a port that nobody listened on a moment ago.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
