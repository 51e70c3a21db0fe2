package postgres

import (
	"crypto/x509"
	"errors"

	"secretless/internal/connector"
	"secretless/internal/target"
)

// Definition is the entry of pg in the table of connectors.
func Definition() connector.Definition {
	return connector.Define(connector.Definition{
		Summary:          "PostgreSQL and what speaks its protocol",
		Credentials:      credentials(),
		OtherCredentials: "startup parameter of the target session, for instance application_name, search_path or statement_timeout",
	}, build)
}

func credentials() []connector.Credential {
	return []connector.Credential{
		{Name: "host", Doc: "name, IP address or socket path of the target", Required: true, Unless: "address"},
		{Name: "port", Doc: "port of the target", Default: "5432", Check: checkPort},
		{Name: "username", Doc: "role to log in as", Required: true},
		{Name: "password", Doc: "password of the role; not needed with trust or a client certificate", Secret: true},
		{Name: "database", Doc: "database to use, whatever the client names", Default: "the client's"},
		{Name: "sslmode", Doc: "TLS to the target: disable, prefer, require, verify-ca or verify-full", Default: "require", Check: checkMode},
		{Name: "sslnegotiation", Doc: "postgres, or direct for TLS without asking first (PostgreSQL 17 and newer)", Default: "postgres", Check: checkNegotiation},
		{Name: "sslrootcert", Doc: "PEM text of the CAs to trust", Default: "the system's", Check: checkRoots},
		{Name: "sslcert", Doc: "PEM text of the client certificate"},
		{Name: "sslkey", Doc: "PEM text of the client certificate's private key", Secret: true},
		{Name: "sslhost", Doc: "name to verify under verify-full instead of host"},
		{Name: "address", Doc: "host:port of the target", Deprecated: "use host and port"},
	}
}

func checkPort(literal string) error {
	if literal == "" {
		return nil
	}
	_, err := target.ParsePort(literal)
	return err
}

func checkMode(literal string) error {
	_, err := target.ParseMode(literal, target.Require)
	return err
}

func checkNegotiation(literal string) error {
	_, err := parseNegotiation(literal)
	return err
}

func checkRoots(literal string) error {
	if literal == "" || x509.NewCertPool().AppendCertsFromPEM([]byte(literal)) {
		return nil
	}
	return errors.New("no PEM certificate; it is the text of the certificates, not the path of a file (use from: file for that)")
}

func build(config Config, setup connector.Setup) (connector.Connector, error) {
	if err := config.complete(setup.Credentials); err != nil {
		return nil, err
	}
	return newConnector(config), nil
}
