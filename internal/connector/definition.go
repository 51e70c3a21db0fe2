package connector

import "log/slog"

// Definition is a connector's entry in the table of package assemble: what
// validate, the JSON Schema and the documentation need to know about it, and
// how to build one for a service.
type Definition struct {
	// Summary is one line for help and schema.
	Summary string
	// Credentials are the names the connector knows.
	Credentials []Credential
	// OtherCredentials says what any other name means; when empty, an unknown
	// name is an error.
	OtherCredentials string
	// Config is a zero value of the connector's config type, for the schema.
	Config any
	// Share makes one connector of those of several services that listen on
	// one address; nil where each needs an address of its own. All of its
	// members have a definition with the same Share. It takes them over: what
	// it returns closes them. Its errors are *MemberError, joined.
	Share func([]Member) (Connector, error)
	// ClientEnv says which environment variables lead the protocol's usual
	// clients to an endpoint; nil where they know none.
	ClientEnv func(Endpoint) ([]Variable, error)
	// Build makes the connector for one service. Errors about a credential or
	// config key are *FieldError, joined, so that their place is known.
	Build Factory
}

// Credential is one credential name a connector knows.
type Credential struct {
	Name     string
	Doc      string // one line
	Required bool
	Unless   string // with Required: not where this credential is given
	Default  string // shown, not applied
	// Secret says that a literal of it makes the configuration file one to
	// keep from others: loading warns where everybody may read the file.
	Secret bool
	// Check validates a value at load time where it is a literal; it gets no
	// values from providers. Nil accepts everything. Its error must not
	// repeat the value of a secret.
	Check func(literal string) error
	// Deprecated names what to write instead; loading warns.
	Deprecated string
}

// Factory builds a connector from a service's section.
type Factory func(Setup) (Connector, error)

// Setup is what a Factory gets.
type Setup struct {
	// Service is the service's name.
	Service string
	// Decode fills a struct from the service's config section and refuses
	// unknown keys; its error carries positions.
	Decode func(into any) error
	// Credentials are the names the service configures.
	Credentials []string
	// StateDir returns the directory for what a connector keeps between runs,
	// and makes it, mode 0700, if it is not there. Call it in Start, not in a
	// Factory, which runs for validation too.
	StateDir func() (string, error)
	// LookupEnv is the broker's environment.
	LookupEnv func(string) (string, bool)
	// Warn shows a warning of loading and validation about the key at path.
	Warn func(text string, path ...string)
	Log  *slog.Logger
}

// Member is one of the services that share an address.
type Member struct {
	Service     string
	Kind        string // the connector's id
	Connector   Connector
	Credentials Credentials
}

// MemberError is an error about one member of a shared address, or, where
// Other names another one, about the two together.
type MemberError struct {
	Service, Other string
	Err            *FieldError
}

// Error is the text of Err; the loader adds both places.
func (e *MemberError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *MemberError) Unwrap() error { return e.Err }

// FieldError is an error about one key of the service's section, for instance
// Path "config", "enforce".
type FieldError struct {
	Path []string
	Err  error
}

// Error is the text of Err; the loader adds file, line and column.
func (e *FieldError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *FieldError) Unwrap() error { return e.Err }

// Define completes d with a Build that decodes a C before it calls build, so
// that a connector's config is an ordinary struct with yaml tags.
func Define[C any](d Definition, build func(C, Setup) (Connector, error)) Definition {
	var zero C
	d.Config = zero
	d.Build = func(s Setup) (Connector, error) {
		var c C
		if err := s.Decode(&c); err != nil {
			return nil, err
		}
		return build(c, s)
	}
	return d
}
