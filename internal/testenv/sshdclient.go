package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// SSHWay is how OpenSSH's clients reach a server: the path of a configuration
// file for their option -F, which knows it as SSHHost.
type SSHWay struct{ Config string }

// SSHHost is the name of the server in a client's configuration.
const SSHHost = "target"

// SSHClient says how clients connect to 127.0.0.1.
type SSHClient struct {
	Port int
	User string
	// Key is what they log in with; empty for clients without any key.
	Key string
	// HostKeys are what they believe, lines of authorized_keys; none to learn
	// the first that they see.
	HostKeys []string
	// Options are more lines of ssh_config. They come first and win.
	Options string
}

// Way writes the configuration. Clients read nothing else: no agent, none of
// the user's keys, no other file.
func (c SSHClient) Way(t testing.TB) SSHWay {
	t.Helper()
	// Short: sockets go here, too.
	dir, err := os.MkdirTemp("", "ssh")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	identity, check := "none", "accept-new"
	if c.Key != "" {
		identity = file("key", c.Key)
	}
	var known strings.Builder
	for _, key := range c.HostKeys {
		check = "yes"
		fmt.Fprintf(&known, "%s %s\n", SSHHost, strings.TrimSpace(key))
	}
	return SSHWay{Config: file("config", fmt.Sprintf(`%s
Host %s
HostName 127.0.0.1
Port %d
User %s
HostKeyAlias %s
UserKnownHostsFile %s
GlobalKnownHostsFile none
StrictHostKeyChecking %s
UpdateHostKeys no
IdentityFile %s
IdentitiesOnly yes
IdentityAgent none
BatchMode yes
ConnectTimeout 30
LogLevel ERROR
`, c.Options, SSHHost, c.Port, c.User, SSHHost, file("known_hosts", known.String()), check, identity))}
}

// Client is how the user logs in with a key.
func (s *SSHServer) Client(key SSHKey) SSHClient {
	return SSHClient{Port: s.Port, User: s.User, Key: key.Private, HostKeys: s.HostKeys()}
}
