package sshagent

import (
	"errors"
	"path/filepath"
	"strings"
	"time"

	"secretless/internal/connector/sshkey"
)

const (
	// defaultConfirmTimeout is how long somebody may think.
	defaultConfirmTimeout = time.Minute
	maxConfirmTimeout     = 10 * time.Minute
)

// Config is the config section of an ssh-agent service.
type Config struct {
	AllowHosts      []string      `yaml:"allowHosts" doc:"host keys (type and base64, or SHA256:…) of the only hosts to log in to with the keys; the client must be OpenSSH 8.9 or newer"`
	AllowForwarding bool          `yaml:"allowForwarding" doc:"sign for clients on other hosts that the agent is forwarded to"`
	MaxSignatures   int           `yaml:"maxSignatures" doc:"most signatures for one connection; 0 (default) for any number"`
	Confirm         []string      `yaml:"confirm" doc:"command, with its absolute path, that says by exit code 0 that a key with confirm: true may be used; it gets the question as its last argument"`
	ConfirmTimeout  time.Duration `yaml:"confirmTimeout" doc:"how long the confirm command may take (default 1m)"`

	// hosts are the fingerprints of AllowHosts.
	hosts map[string]bool
}

// complete checks c and puts the defaults in.
func (c *Config) complete() error {
	if c.ConfirmTimeout == 0 {
		c.ConfirmTimeout = defaultConfirmTimeout
	}
	return errors.Join(c.readHosts(), c.checkConfirm(), c.checkSignatures())
}

func (c *Config) readHosts() error {
	if c.AllowHosts != nil && len(c.AllowHosts) == 0 {
		return fieldError("allowHosts", "allowHosts is empty: list host keys, or leave it out to allow every host")
	}
	c.hosts = make(map[string]bool)
	for _, text := range c.AllowHosts {
		fingerprint, err := sshkey.ParseFingerprint(text)
		if err != nil {
			return fieldError("allowHosts", "allowHosts: %q: %w", text, err)
		}
		c.hosts[fingerprint] = true
	}
	return nil
}

// bound says whether signatures are for certain hosts only.
func (c *Config) bound() bool { return len(c.hosts) > 0 }

func (c *Config) checkConfirm() error {
	switch {
	case len(c.Confirm) > 0 && !filepath.IsAbs(c.Confirm[0]):
		return fieldError("confirm", "confirm: %q is not an absolute path", c.Confirm[0])
	case strings.ContainsRune(strings.Join(c.Confirm, ""), 0):
		return fieldError("confirm", "confirm holds a NUL byte")
	case c.ConfirmTimeout < time.Second || c.ConfirmTimeout > maxConfirmTimeout:
		return fieldError("confirmTimeout", "confirmTimeout %s is not between 1s and %s", c.ConfirmTimeout, maxConfirmTimeout)
	}
	return nil
}

func (c *Config) checkSignatures() error {
	if c.MaxSignatures < 0 {
		return fieldError("maxSignatures", "maxSignatures %d is below 0", c.MaxSignatures)
	}
	return nil
}
