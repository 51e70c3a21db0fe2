package provider

// Footprint is what a provider does on the machine beside reading files and
// using the network. A hardened process can do nothing else.
type Footprint struct {
	// Commands says in a few words which programs it starts; empty for none.
	Commands string
	// Perhaps is true where something outside the configuration decides
	// whether any is started.
	Perhaps bool
	// Writes are the directories that it changes files in.
	Writes []string
}

// Footprinter is implemented by providers that have one.
type Footprinter interface{ Footprint() Footprint }

// Footprint is the provider's.
func (i *Instance) Footprint() Footprint {
	if f, ok := i.provider.(Footprinter); ok {
		return f.Footprint()
	}
	return Footprint{}
}
