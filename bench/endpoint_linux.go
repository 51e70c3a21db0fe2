package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// loopback is the only address anything here listens on or connects to.
const loopback = "127.0.0.1"

// endpoint is where a client connects, and as whom.
type endpoint struct {
	host     string // address, or the directory of a unix socket
	port     int
	user     string
	password string // empty where a relay logs in on the client's behalf
	database string
	sslmode  string
}

// env tells psql and pgbench.
func (e endpoint) env() []string {
	env := []string{
		"PGHOST=" + e.host, "PGPORT=" + strconv.Itoa(e.port), "PGUSER=" + e.user,
		"PGDATABASE=" + e.database, "PGSSLMODE=" + e.sslmode, "PGCONNECT_TIMEOUT=10",
	}
	if e.password != "" {
		env = append(env, "PGPASSWORD="+e.password)
	}
	return env
}

// config tells pgconn. Every setting is given, so that nothing comes from the
// caller's environment.
func (e endpoint) config() (*pgconn.Config, error) {
	settings := []string{
		"host=" + e.host, "port=" + strconv.Itoa(e.port), "user=" + e.user,
		"dbname=" + e.database, "sslmode=" + e.sslmode, "connect_timeout=20",
		"passfile=/dev/null", "password='" + e.password + "'",
	}
	config, err := pgconn.ParseConfig(strings.Join(settings, " "))
	if err != nil {
		return nil, fmt.Errorf("connection settings: %w", err)
	}
	config.Password = e.password
	return config, nil
}

// connect logs in.
func (e endpoint) connect(ctx context.Context) (*pgconn.PgConn, error) {
	config, err := e.config()
	if err != nil {
		return nil, err
	}
	return pgconn.ConnectConfig(ctx, config)
}

// network and address are for net.Dial.
func (e endpoint) network() string {
	if strings.HasPrefix(e.host, "/") {
		return "unix"
	}
	return "tcp"
}

func (e endpoint) address() string {
	if e.network() == "unix" {
		return socketPath(e.host, e.port)
	}
	return net.JoinHostPort(e.host, strconv.Itoa(e.port))
}

// socketPath is where libpq looks for a server's unix socket.
func socketPath(dir string, port int) string {
	return filepath.Join(dir, ".s.PGSQL."+strconv.Itoa(port))
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

// freePort returns a port that nobody listened on a moment ago.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
