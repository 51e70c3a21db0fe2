package mysql

import (
	"errors"
	"slices"
	"strings"

	"secretless/internal/connector/database"
)

// The values of greeting.
const (
	greetAuto    = "auto"
	greetLearned = "learned"
	greetTarget  = "target"
)

// Config is the config section of a mysql service.
type Config struct {
	Greeting      string   `yaml:"greeting" doc:"auto (default): greet clients as the target greeted the broker last, and ask it first as long as it is not known; learned: never ask; target: connect to the target first and greet as it does, so that connection ids are its own"`
	ServerVersion string   `yaml:"serverVersion" doc:"server version to tell clients (default: the target's)"`
	RequireAuth   []string `yaml:"requireAuth" doc:"the only ways to log in that the target may ask for: mysql_native_password, caching_sha2_password, sha256_password, mysql_clear_password, client_ed25519; default all"`
}

// maxVersion bounds serverVersion; servers' own have about 60 bytes.
const maxVersion = 100

// complete checks c and puts the defaults in.
func (c *Config) complete() error {
	if c.Greeting == "" {
		c.Greeting = greetAuto
	}
	return errors.Join(c.checkGreeting(), c.checkVersion(), c.checkRequireAuth())
}

// allows says whether the target may ask for a plugin.
func (c *Config) allows(plugin string) bool {
	return len(c.RequireAuth) == 0 || slices.Contains(c.RequireAuth, plugin)
}

func (c *Config) checkGreeting() error {
	known := []string{greetAuto, greetLearned, greetTarget}
	if slices.Contains(known, c.Greeting) {
		return nil
	}
	return database.FieldError("greeting", "greeting %q is unknown; use one of %s", c.Greeting, strings.Join(known, ", "))
}

func (c *Config) checkVersion() error {
	printable := func(r rune) bool { return r >= ' ' && r <= '~' }
	if len(c.ServerVersion) > maxVersion || strings.ContainsFunc(c.ServerVersion, func(r rune) bool { return !printable(r) }) {
		return database.FieldError("serverVersion", "serverVersion is longer than %d bytes, or has other than printable ASCII characters", maxVersion)
	}
	return nil
}

func (c *Config) checkRequireAuth() error {
	for _, plugin := range c.RequireAuth {
		if !slices.Contains(plugins(), plugin) {
			return database.FieldError("requireAuth", "requireAuth: %q is unknown; use some of %s", plugin, strings.Join(plugins(), ", "))
		}
	}
	return nil
}
