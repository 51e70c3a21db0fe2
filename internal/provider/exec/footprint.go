package exec

import "secretless/internal/provider"

// Footprint is the command, which may itself do anything.
func (p *commands) Footprint() provider.Footprint {
	return provider.Footprint{Commands: p.command.argv[0]}
}
