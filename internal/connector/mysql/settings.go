package mysql

import (
	"fmt"
	"slices"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/secret"
	"secretless/internal/target"
)

const defaultPort = 3306

// settings is a set of credentials, understood. The password still belongs to
// the set.
type settings struct {
	plan     database.Plan
	username string
	password secret.Value
	database string
}

// readSettings reads a set. Its errors are about one credential and are the
// user's to mend.
func readSettings(set *secret.Set) (settings, error) {
	out := settings{username: set.Text("username", ""), database: set.Text("database", "")}
	out.password, _ = set.Get("password")
	address, err := database.ReadAddress(set, defaultPort)
	if err == nil {
		out.plan, err = database.ReadPlan(set, address, database.Options{DefaultMode: target.Require})
	}
	if err != nil {
		return settings{}, &connector.Failure{Kind: connector.KindConfig, Err: fmt.Errorf("credentials of the service: %w", err)}
	}
	if slices.Contains(out.password.Bytes(), 0) {
		return settings{}, database.Failure(connector.KindConfig, "credentials of the service: password holds a NUL byte, which MySQL cannot take")
	}
	return out, nil
}
