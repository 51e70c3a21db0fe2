package mysql

import "secretless/internal/connector"

// clientEnv is what the clients of MySQL and MariaDB read.
func clientEnv(e connector.Endpoint) ([]connector.Variable, error) {
	if e.Network == "unix" {
		return []connector.Variable{{Name: "MYSQL_HOST", Value: "localhost"}, {Name: "MYSQL_UNIX_PORT", Value: e.Address}}, nil
	}
	host, port, err := e.HostPort("clients of MySQL")
	if host == "localhost" { // they take that name for the socket
		host = "127.0.0.1"
	}
	return []connector.Variable{{Name: "MYSQL_HOST", Value: host}, {Name: "MYSQL_TCP_PORT", Value: port}}, err
}
