package sshagent

import (
	"context"
	"strings"

	"secretless/internal/connector"
	"secretless/internal/connector/sshkey"
)

// Check reads every key and says their fingerprints: an agent has no target of
// its own.
func (c *Connector) Check(ctx context.Context, s *connector.Session) (connector.Report, error) {
	found, err := c.identities(ctx, s)
	if err != nil {
		return connector.Report{}, err
	}
	var keys []string
	for _, id := range found {
		public := id.publics()[0]
		keys = append(keys, public.Type()+" "+sshkey.Fingerprint(public))
	}
	if len(keys) == 0 {
		keys = []string{"no key: their lifetime is over"}
	}
	return connector.Report{Detail: strings.Join(keys, ", ")}, nil
}
