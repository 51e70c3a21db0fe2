package mssql

import (
	"errors"
	"fmt"
	"strings"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/secret"
	"secretless/internal/target"
	"secretless/internal/wire/tds"
)

// alpn is the application protocol of TDS 8.0.
const alpn = "tds/8.0"

// maxName is the longest name or password in LOGIN7, in UTF-16 units.
const maxName = 128

// settings is a set of credentials, understood. The password still belongs to
// the set.
type settings struct {
	set        *secret.Set
	protection protection
	address    target.Address
	username   string
	password   secret.Value
	database   string
}

// readSettings reads a set. Its errors are about one credential and are the
// user's to mend.
func readSettings(set *secret.Set) (settings, error) {
	out := settings{set: set, username: set.Text("username", ""), database: set.Text("database", "")}
	out.password, _ = set.Get("password")
	if err := out.read(set); err != nil {
		return settings{}, database.Failure(connector.KindConfig, "credentials of the service: %w", err)
	}
	return out, nil
}

func (s *settings) read(set *secret.Set) (err error) {
	if s.protection, err = parseMode(set.Text("sslmode", "")); err != nil {
		return err
	}
	if s.address, err = database.ReadAddress(set, defaultPort); err != nil {
		return err
	}
	switch {
	case s.address.Unix():
		return fmt.Errorf("host %q is a socket path, and SQL Server listens on TCP only", s.address.Host)
	case s.username == "":
		return errors.New("username is empty")
	case tds.MakeText(s.username).Len() > maxName:
		return fmt.Errorf("username is longer than %d characters", maxName)
	case tds.MakeText(s.database).Len() > maxName:
		return fmt.Errorf("database is longer than %d characters", maxName)
	case s.password.Len() == 0:
		return errors.New("password is absent or empty; look at what its provider returns")
	case s.password.Len() > 3*maxName:
		return fmt.Errorf("password is longer than %d characters", maxName)
	}
	_, err = s.plan(s.address)
	return err
}

// plan is how to reach address, the target or where it routes to.
func (s *settings) plan(address target.Address) (database.Plan, error) {
	options := database.Options{VerifyIfRoot: true}
	if s.protection.strict {
		options.NextProtos = []string{alpn}
	}
	plan, err := database.PlanFor(s.set, address, s.protection.mode, options)
	if err == nil && plan.TLS != nil {
		protect(plan.TLS, s.protection.strict)
	}
	return plan, err
}

func parseMode(text string) (protection, error) {
	if text == "strict" {
		return protection{target.VerifyFull, true}, nil
	}
	mode, err := target.ParseMode(text, target.Require)
	if err != nil {
		return protection{}, fmt.Errorf("sslmode %q is unknown; use one of %s, strict", text, strings.Join(target.Modes(), ", "))
	}
	return protection{mode: mode}, nil
}
