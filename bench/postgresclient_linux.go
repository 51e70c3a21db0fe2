package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// pgHost is libpq's word for where an endpoint is.
func pgHost(e endpoint) string {
	if e.socket != "" {
		return filepath.Dir(e.socket)
	}
	return loopback
}

// pgEnvironment tells psql and pgbench.
func pgEnvironment(e endpoint) []string {
	env := []string{
		"PGHOST=" + pgHost(e), "PGPORT=" + strconv.Itoa(e.port), "PGUSER=" + e.user,
		"PGDATABASE=" + e.database, "PGSSLMODE=" + sslmode(e.encrypted), "PGCONNECT_TIMEOUT=10",
	}
	if e.password != "" {
		env = append(env, "PGPASSWORD="+e.password)
	}
	return env
}

// pgConfig tells pgconn. Every setting is given, so that nothing comes from the
// caller's environment.
func pgConfig(e endpoint) (*pgconn.Config, error) {
	settings := []string{
		"host=" + pgHost(e), "port=" + strconv.Itoa(e.port), "user=" + e.user,
		"dbname=" + e.database, "sslmode=" + sslmode(e.encrypted), "connect_timeout=20",
		"passfile=/dev/null", "password='" + e.password + "'",
	}
	config, err := pgconn.ParseConfig(strings.Join(settings, " "))
	if err != nil {
		return nil, fmt.Errorf("connection settings: %w", err)
	}
	config.Password = e.password
	return config, nil
}

// pgConnect logs in.
func pgConnect(ctx context.Context, e endpoint) (*pgconn.PgConn, error) {
	config, err := pgConfig(e)
	if err != nil {
		return nil, err
	}
	return pgconn.ConnectConfig(ctx, config)
}

// pgExecute runs statements on a connection of their own, one after another.
func pgExecute(ctx context.Context, e endpoint, statements ...string) error {
	conn, err := pgConnect(ctx, e)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement).ReadAll(); err != nil {
			return fmt.Errorf("%.60q: %w", statement, err)
		}
	}
	return nil
}
