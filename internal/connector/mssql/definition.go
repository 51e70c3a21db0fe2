package mssql

import (
	"fmt"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/target"
)

const defaultPort = 1433

// Config is the config section of an mssql service, which has no keys.
type Config struct{}

// Definition is the entry of mssql in the table of connectors.
func Definition() connector.Definition {
	return connector.Define(connector.Definition{
		ClientEnv:   clientEnv,
		Summary:     "SQL Server and Azure SQL",
		Credentials: credentials(),
	}, func(Config, connector.Setup) (connector.Connector, error) { return newConnector(), nil })
}

func credentials() []connector.Credential {
	return database.With(
		database.Credentials(defaultPort),
		connector.Credential{Name: "host", Doc: "name or IP address of the target", Required: true, Check: checkHost},
		connector.Credential{Name: "username", Doc: "SQL login to log in as", Required: true, Check: database.CheckUsername},
		connector.Credential{Name: "password", Doc: "password of the login", Required: true, Secret: true},
		connector.Credential{Name: "database", Doc: "database to use, whatever the client names", Default: "the client's"},
		connector.Credential{Name: "sslmode", Doc: "TLS to the target: disable, prefer, require, verify-ca, verify-full, or strict for TDS 8.0", Default: "require", Check: checkMode},
		connector.Credential{Name: "sslhost", Doc: "name to verify under verify-full and strict instead of host, of routed targets too"},
	)
}

func checkHost(literal string) error {
	if err := database.CheckHost(literal); err != nil {
		return err
	}
	if (target.Address{Host: literal}).Unix() {
		return fmt.Errorf("host %q is a socket path, and SQL Server listens on TCP only", literal)
	}
	return nil
}

func checkMode(literal string) error {
	_, err := parseMode(literal)
	return err
}

// protection is an sslmode: strict is verify-full with TLS before anything
// else, as TDS 8.0 has it.
type protection struct {
	mode   target.Mode
	strict bool
}

func (p protection) String() string {
	if p.strict {
		return "strict"
	}
	return p.mode.String()
}
