package postgres

import (
	"errors"
	"slices"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
)

// Definition is the entry of pg in the table of connectors.
func Definition() connector.Definition {
	return connector.Define(connector.Definition{
		ClientEnv:        clientEnv,
		Summary:          "PostgreSQL and what speaks its protocol",
		Credentials:      credentials(),
		OtherCredentials: "startup parameter of the target session, for instance application_name, search_path or statement_timeout",
	}, build)
}

func credentials() []connector.Credential {
	return database.With(
		database.Credentials(defaultPort),
		connector.Credential{Name: "host", Doc: "name, IP address or socket path of the target", Required: true, Unless: "address", Check: database.CheckHost},
		connector.Credential{Name: "username", Doc: "role to log in as", Required: true, Check: database.CheckUsername},
		connector.Credential{Name: "password", Doc: "password of the role; not needed with trust or a client certificate", Secret: true},
		connector.Credential{Name: "database", Doc: "database to use, whatever the client names", Default: "the client's"},
		connector.Credential{Name: "sslnegotiation", Doc: "postgres, or direct for TLS without asking first (PostgreSQL 17 and newer)", Default: "postgres", Check: checkNegotiation},
		connector.Credential{Name: "address", Doc: "host:port of the target", Deprecated: "use host and port"},
	)
}

func checkNegotiation(literal string) error {
	_, err := parseNegotiation(literal)
	return err
}

func build(config Config, setup connector.Setup) (connector.Connector, error) {
	err := config.complete(setup.Credentials)
	if slices.Contains(setup.Credentials, "user") { // would be taken for a startup parameter
		err = errors.Join(err, &connector.FieldError{Path: []string{"credentials", "user"}, Err: errors.New("the role to log in as is the credential username, not user")})
	}
	if err != nil {
		return nil, err
	}
	return newConnector(config), nil
}
