package mssql

import "secretless/internal/connector"

// clientEnv is what sqlcmd reads.
func clientEnv(e connector.Endpoint) ([]connector.Variable, error) {
	host, port, err := e.HostPort("clients of SQL Server")
	return []connector.Variable{{Name: "SQLCMDSERVER", Value: "tcp:" + host + "," + port}}, err
}
