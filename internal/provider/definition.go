package provider

import (
	"log/slog"
	"time"
)

// Definition is a provider's entry in the table of package assemble.
type Definition struct {
	// Summary is one line for help and schema.
	Summary string
	// Ref says what `get` means, in one line.
	Ref string
	// Config is a zero value of the provider's settings, for the schema.
	Config any
	// Cache is how long values live where the instance does not say; zero
	// for sources that are local and cheap.
	Cache time.Duration
	// CheckRef validates an id at load time; nil accepts everything.
	CheckRef func(ref string) error
	// NeedsInstance is true for a provider that has no use without settings
	// (exec): its bare id is not a built-in name.
	NeedsInstance bool
	// Build makes one instance.
	Build Factory
}

// Factory builds a provider instance from its section.
type Factory func(Setup) (Provider, error)

// Setup is what a Factory gets. Everything from outside comes through it, so
// that two brokers can run in one test.
type Setup struct {
	// Name is the instance's name, for errors.
	Name string
	// Decode fills a struct from the instance's settings (without type,
	// cache, timeout and staleIfError) and refuses unknown keys.
	Decode func(into any) error
	// LookupEnv is os.LookupEnv or a test's.
	LookupEnv func(string) (string, bool)
	// Warn shows a warning of loading and validation about the setting at path;
	// nil where nobody wants to know.
	Warn func(text string, path ...string)
	Log  *slog.Logger
}

// Define completes d with a Build that decodes a C before it calls build.
func Define[C any](d Definition, build func(C, Setup) (Provider, error)) Definition {
	var zero C
	d.Config = zero
	d.Build = func(s Setup) (Provider, error) {
		var c C
		if err := s.Decode(&c); err != nil {
			return nil, err
		}
		return build(c, s)
	}
	return d
}
