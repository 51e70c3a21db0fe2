package ssh

import (
	"fmt"
	"path/filepath"
	"slices"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/connector/sshkey"
	"secretless/internal/secret"
)

// Config is the config section of an ssh service.
type Config struct {
	// AgentForwarding lets the target use the client's agent, when the client
	// asks for that.
	AgentForwarding bool `yaml:"agentForwarding" doc:"let clients forward their agent to the target" default:"false"`
	// X11Forwarding lets the target use the client's display, when the client
	// asks for that.
	X11Forwarding bool `yaml:"x11Forwarding" doc:"let clients forward X11 to the target" default:"false"`
	// MaxChannels bounds the channels that are open at a time in one
	// connection; zero means 256.
	MaxChannels int `yaml:"maxChannels" doc:"most channels (sessions, forwarded connections) open at a time in one connection" default:"256"`
	// ServerKeyFile is a private key to be used as the broker's own host key.
	ServerKeyFile string `yaml:"serverKeyFile" doc:"absolute path of the broker's own host key, instead of the one in the state directory"`
}

const (
	defaultChannels = 256
	mostChannels    = 10000
)

func (c *Config) complete() error {
	switch {
	case c.MaxChannels == 0:
		c.MaxChannels = defaultChannels
	case c.MaxChannels < 1 || c.MaxChannels > mostChannels:
		return database.FieldError("maxChannels", "maxChannels is %d; give a number from 1 to %d", c.MaxChannels, mostChannels)
	}
	if c.ServerKeyFile != "" && !filepath.IsAbs(c.ServerKeyFile) {
		return database.FieldError("serverKeyFile", "serverKeyFile %q is no absolute path", c.ServerKeyFile)
	}
	return nil
}

// Definition is the entry of ssh in the table of connectors.
func Definition() connector.Definition {
	return connector.Define(connector.Definition{
		Summary:     "SSH servers: sessions, scp, sftp, git, rsync and port forwarding",
		Credentials: credentials(),
	}, build)
}

func build(config Config, setup connector.Setup) (connector.Connector, error) {
	fetched := slices.Contains(setup.Credentials, credentialServerKey)
	if err := config.complete(); err != nil {
		return nil, err
	}
	if fetched && config.ServerKeyFile != "" {
		return nil, database.FieldError("serverKeyFile", "serverKeyFile and the credential %s both name the broker's host key; give one of them", credentialServerKey)
	}
	return &Connector{
		config: config, stateDir: setup.StateDir, log: setup.Log, buffers: newBuffers(),
		pinned: slices.Contains(setup.Credentials, "hostKey"),
		host:   &hostKey{log: setup.Log, fetched: fetched},
	}, nil
}

func credentials() []connector.Credential {
	return []connector.Credential{
		{Name: "address", Doc: "host or host:port of the target", Required: true, Check: checkAddress},
		{Name: "user", Doc: "user to log in as", Default: "the client's"},
		{Name: "privateKey", Doc: "text of the private key, PEM or OpenSSH", Required: true, Unless: "password", Secret: true, Check: checkPrivateKey},
		{Name: "passphrase", Doc: "passphrase of the private key", Secret: true},
		{Name: "certificate", Doc: "text of the OpenSSH certificate of the private key"},
		{Name: "password", Doc: "password, for password and keyboard-interactive authentication", Secret: true},
		{Name: "hostKey", Doc: "the target's host key: lines as in known_hosts or authorized_keys, or accept-any", Check: checkHostKey},
		{Name: credentialServerKey, Doc: "text of the broker's own host key, PEM or OpenSSH, without a passphrase", Default: "one that the broker makes", Secret: true, Check: checkServerKey},
	}
}

func checkAddress(literal string) error {
	_, err := parseAddress(literal)
	return err
}

func checkPrivateKey(literal string) error {
	if literal == "" {
		return nil // password may be in its place
	}
	return sshkey.CheckPrivate(literal)
}

func checkHostKey(literal string) error {
	if literal == "" {
		return fmt.Errorf("hostKey is empty; give the target's host key, or %s to trust whoever answers", sshkey.AcceptAny)
	}
	_, err := sshkey.ParseHostKeys([]byte(literal))
	return err
}

func checkServerKey(literal string) error {
	text := secret.Copy(literal)
	defer text.Wipe()
	_, err := parseServerKey(text)
	return err
}
