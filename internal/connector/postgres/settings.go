package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/secret"
	"secretless/internal/target"
)

const defaultPort = 5432

// settings is a set of credentials, understood. The password still belongs to
// the set.
type settings struct {
	plan     plan
	username string
	password secret.Value
	database string
	// parameters are the credentials without a meaning of their own.
	parameters []parameter
}

// readSettings reads a set. Its errors are about one credential and are the
// user's to mend.
func readSettings(set *secret.Set) (settings, error) {
	out := settings{
		username: set.Text("username", ""),
		database: set.Text("database", ""),
	}
	out.password, _ = set.Get("password")
	if err := out.readPlan(set); err != nil {
		return settings{}, &connector.Failure{Kind: connector.KindConfig, Err: fmt.Errorf("credentials of the service: %w", err)}
	}
	if slices.Contains(out.password.Bytes(), 0) {
		return settings{}, database.Failure(connector.KindConfig, "credentials of the service: password holds a NUL byte, which PostgreSQL cannot take")
	}
	for _, name := range set.Names() {
		if !slices.Contains(ownNames(), name) {
			out.parameters = append(out.parameters, parameter{name, set.Text(name, "")})
		}
	}
	return out, nil
}

func (s *settings) readPlan(set *secret.Set) error {
	address, err := s.address(set)
	if err != nil {
		return err
	}
	if s.plan.direct, err = parseNegotiation(set.Text("sslnegotiation", "")); err != nil {
		return err
	}
	s.plan.Plan, err = database.ReadPlan(set, address, database.Options{
		DefaultMode:  target.Require,
		VerifyIfRoot: true,
		NextProtos:   []string{alpn},
	})
	if err == nil && s.plan.direct && s.plan.Mode == target.Prefer {
		return fmt.Errorf("sslnegotiation direct leaves no way back to plain text, which sslmode %s wants; set sslmode to require or stronger", s.plan.Mode)
	}
	return err
}

// address is where the target listens: host and port, or the old address
// credential, which wins as it did in the old broker.
func (s *settings) address(set *secret.Set) (target.Address, error) {
	host, port := set.Text("host", ""), set.Text("port", "")
	if old := set.Text("address", ""); old != "" {
		var database string
		host, port, database = splitAddress(old)
		if s.database == "" {
			s.database = database
		}
	}
	address, err := target.ParseAddress(host, port, defaultPort)
	if err != nil || !address.Unix() {
		return address, err
	}
	return socketIn(address), nil
}

// socketIn is address, or the socket file inside it where it is a directory,
// as libpq has it.
func socketIn(address target.Address) target.Address {
	if info, err := os.Stat(address.Host); err == nil && info.IsDir() {
		address.Host = filepath.Join(address.Host, ".s.PGSQL."+strconv.Itoa(address.Port))
	}
	return address
}

// splitAddress reads host, host:port and either with /database behind it; an
// IPv6 literal stands in brackets where a port follows.
func splitAddress(text string) (host, port, database string) {
	if !strings.HasPrefix(text, "/") {
		text, database, _ = strings.Cut(text, "/")
	}
	if i := strings.LastIndexByte(text, ':'); i >= 0 && (strings.HasSuffix(text[:i], "]") || !strings.Contains(text[:i], ":")) {
		return text[:i], text[i+1:], database
	}
	return text, "", database
}

func parseNegotiation(text string) (direct bool, err error) {
	switch text {
	case "", "postgres":
		return false, nil
	case "direct":
		return true, nil
	}
	return false, fmt.Errorf("sslnegotiation %q is unknown; use postgres or direct", text)
}

// ownNames are the credentials that are no startup parameters.
func ownNames() []string {
	return []string{
		"host", "port", "address", "username", "password", "database",
		"sslmode", "sslnegotiation", "sslrootcert", "sslcert", "sslkey", "sslhost",
	}
}
