package mysql

import (
	"secretless/internal/connector"
	"secretless/internal/connector/database"
)

// Definition is the entry of mysql in the table of connectors.
func Definition() connector.Definition {
	return connector.Define(connector.Definition{
		ClientEnv: clientEnv,
		Summary:   "MySQL, MariaDB and what speaks their protocol",
		Credentials: database.With(database.Credentials(defaultPort),
			connector.Credential{Name: "database", Doc: "database to use, whatever the client names", Default: "the client's"}),
		Config: Config{},
	}, build)
}

func build(config Config, _ connector.Setup) (connector.Connector, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	return newConnector(config), nil
}
