package assemble

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"secretless/internal/connector"
	"secretless/internal/provider"
)

// Footprint is what the services and providers of a Build do on the machine
// beside reading files and using the network.
type Footprint struct {
	// Commands are those who start programs, for messages; PerhapsCommands
	// those who do so where something outside the configuration says so.
	Commands, PerhapsCommands []string
	// Writes are the directories that providers write to.
	Writes []string
}

// Footprint looks at every provider, those that no service uses yet included.
func (b *Built) Footprint() Footprint {
	var f Footprint
	instances := slices.SortedFunc(maps.Values(b.instances), func(x, y *provider.Instance) int { return strings.Compare(x.Name(), y.Name()) })
	for _, i := range instances {
		own := i.Footprint()
		f.Writes = append(f.Writes, own.Writes...)
		text := fmt.Sprintf("provider %q (%s)", i.Name(), own.Commands)
		switch {
		case own.Commands == "":
		case own.Perhaps:
			f.PerhapsCommands = append(f.PerhapsCommands, text)
		default:
			f.Commands = append(f.Commands, text)
		}
	}
	for _, s := range b.Configured {
		if r, ok := s.Connector.(connector.CommandRunner); ok && r.Commands() != "" {
			f.Commands = append(f.Commands, fmt.Sprintf("service %q (%s)", s.Name, r.Commands()))
		}
	}
	return f
}
