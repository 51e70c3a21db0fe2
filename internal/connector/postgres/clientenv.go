package postgres

import (
	"fmt"
	"path"
	"strings"

	"secretless/internal/connector"
)

// clientEnv is what libpq and the drivers that follow it read.
func clientEnv(e connector.Endpoint) ([]connector.Variable, error) {
	mode := "disable"
	if e.TLS {
		mode = "require"
	}
	if e.Network == "unix" {
		dir, name := path.Split(e.Address)
		port, ok := strings.CutPrefix(name, ".s.PGSQL.")
		if !ok {
			return nil, fmt.Errorf("clients of PostgreSQL find a socket by its directory and port; name it for instance %s.s.PGSQL.5432", dir)
		}
		return []connector.Variable{{Name: "PGHOST", Value: path.Clean(dir)}, {Name: "PGPORT", Value: port}}, nil
	}
	host, port, err := e.HostPort("clients of PostgreSQL")
	return []connector.Variable{{Name: "PGHOST", Value: host}, {Name: "PGPORT", Value: port}, {Name: "PGSSLMODE", Value: mode}}, err
}
