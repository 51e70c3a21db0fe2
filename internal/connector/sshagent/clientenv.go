package sshagent

import (
	"fmt"

	"secretless/internal/connector"
)

// clientEnv is what everything that uses an agent reads.
func clientEnv(e connector.Endpoint) ([]connector.Variable, error) {
	if e.Network != "unix" {
		return nil, fmt.Errorf("clients of an ssh-agent need a unix:// address; this service listens on %s://%s only", e.Network, e.Address)
	}
	return []connector.Variable{{Name: "SSH_AUTH_SOCK", Value: e.Address}}, nil
}
