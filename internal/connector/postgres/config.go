package postgres

import (
	"errors"
	"slices"
	"strings"

	"secretless/internal/connector/database"
	"secretless/internal/sockio"
)

// The values of channelBinding.
const (
	bindingPrefer  = "prefer"
	bindingRequire = "require"
	bindingDisable = "disable"
)

// The values of requireAuth, as libpq's require_auth has them.
const (
	methodScram    = "scram-sha-256"
	methodMD5      = "md5"
	methodPassword = "password"
	methodNone     = "none"
)

const (
	// defaultMinIterations is RFC 7677's minimum and PostgreSQL's default:
	// with fewer, an impostor could guess the password from the proof.
	defaultMinIterations = 4096
	// defaultMaxIterations takes about half a second of a core.
	defaultMaxIterations = 1_000_000
	limitIterations      = 10_000_000
)

// Config is the config section of a pg service.
type Config struct {
	Enforce        []string `yaml:"enforce" doc:"credentials that win over the client's own startup parameters of the same name"`
	AllowCleartext bool     `yaml:"allowCleartext" doc:"send the password in clear text over an unencrypted connection if the target asks for it"`
	ChannelBinding string   `yaml:"channelBinding" doc:"prefer (default): bind SCRAM to the target's certificate when offered; require; disable"`
	RequireAuth    []string `yaml:"requireAuth" doc:"the only ways to log in that the target may ask for: scram-sha-256, md5, password, none (a certificate or nothing); default all"`
	MinIterations  int      `yaml:"minIterations" doc:"fewest SCRAM iterations accepted from the target (default 4096)"`
	MaxIterations  int      `yaml:"maxIterations" doc:"most SCRAM iterations accepted from the target (default 1000000)"`

	SpareConnections int `yaml:"spareConnections" doc:"sessions to begin with the target ahead of clients, so that a client's login is done when it comes (default 0)"`
}

// complete checks c against the service's credentials and puts the defaults in.
func (c *Config) complete(credentials []string) error {
	if c.ChannelBinding == "" {
		c.ChannelBinding = bindingPrefer
	}
	if c.MinIterations == 0 {
		c.MinIterations = defaultMinIterations
	}
	if c.MaxIterations == 0 {
		c.MaxIterations = max(defaultMaxIterations, c.MinIterations)
	}
	return errors.Join(append(c.checkEnforce(credentials), c.checkBinding(), c.checkRequireAuth(), c.checkIterations(), c.checkSpares())...)
}

// allows says whether the target may ask for method.
func (c *Config) allows(method string) bool {
	return len(c.RequireAuth) == 0 || slices.Contains(c.RequireAuth, method)
}

func (c *Config) checkRequireAuth() error {
	known := []string{methodScram, methodMD5, methodPassword, methodNone}
	for _, method := range c.RequireAuth {
		if !slices.Contains(known, method) {
			return database.FieldError("requireAuth", "requireAuth: %q is unknown; use some of %s", method, strings.Join(known, ", "))
		}
	}
	if c.ChannelBinding == bindingRequire && !c.allows(methodScram) {
		return database.FieldError("requireAuth", "requireAuth has no %s, which channelBinding require demands", methodScram)
	}
	return nil
}

func (c *Config) checkEnforce(credentials []string) (errs []error) {
	for _, name := range c.Enforce {
		switch {
		case name != "database" && slices.Contains(ownNames(), name):
			errs = append(errs, database.FieldError("enforce", "enforce: %q is no startup parameter", name))
		case !slices.Contains(credentials, name):
			errs = append(errs, database.FieldError("enforce", "enforce: %q is not among the service's credentials (%s)", name, strings.Join(credentials, ", ")))
		}
	}
	return errs
}

func (c *Config) checkBinding() error {
	known := []string{bindingPrefer, bindingRequire, bindingDisable}
	if slices.Contains(known, c.ChannelBinding) {
		return nil
	}
	return database.FieldError("channelBinding", "channelBinding %q is unknown; use one of %s", c.ChannelBinding, strings.Join(known, ", "))
}

func (c *Config) checkIterations() error {
	switch {
	case c.MinIterations < 1:
		return database.FieldError("minIterations", "minIterations %d is below 1", c.MinIterations)
	case c.MaxIterations > limitIterations:
		return database.FieldError("maxIterations", "maxIterations %d is above %d", c.MaxIterations, limitIterations)
	case c.MaxIterations < c.MinIterations:
		return database.FieldError("maxIterations", "maxIterations %d is below minIterations %d", c.MaxIterations, c.MinIterations)
	}
	return nil
}

func (c *Config) checkSpares() error {
	switch {
	case c.SpareConnections < 0 || c.SpareConnections > maxSpares:
		return database.FieldError("spareConnections", "spareConnections %d is out of range: use 0 to %d", c.SpareConnections, maxSpares)
	case c.SpareConnections > 0 && !sockio.Looks:
		return database.FieldError("spareConnections", "spareConnections: the broker cannot tell on this platform whether an idle connection is still alive")
	}
	return nil
}
