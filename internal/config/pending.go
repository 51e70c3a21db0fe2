package config

import "errors"

var errPending = errors.New("being built")

// Parse reads a configuration. The error is Errors: every mistake of the file,
// in file order.
func Parse(name string, data []byte, opts Options) (*File, error) { return nil, errPending }

// Load reads and parses the file at path; "-" is standard input.
func Load(path string, opts Options) (*File, error) { return nil, errPending }

// Find is the first configuration file that exists of ./secretless.yml,
// ~/.secretless.yml and /etc/secretless.yml.
func Find(home string) (string, error) { return "", errPending }

// Suggest is the known name closest to name, or empty if none is close.
func Suggest(name string, known []string) string { return "" }

// Convert rewrites format v1 as version 2.
func Convert(name string, data []byte) (v2 []byte, notes []string, err error) {
	return nil, nil, errPending
}

// SchemaInput is what the schema needs to know about connectors and providers.
type SchemaInput struct {
	Connectors map[string]ConnectorSchema
	Providers  map[string]ProviderSchema
}

// ConnectorSchema describes one connector.
type ConnectorSchema struct {
	Summary          string
	Config           any
	Credentials      []CredentialSchema
	OtherCredentials string
}

// CredentialSchema describes one credential of a connector.
type CredentialSchema struct {
	Name, Doc, Default string
	Required           bool
	Deprecated         string
}

// ProviderSchema describes one provider.
type ProviderSchema struct {
	Summary, Ref  string
	Config        any
	NeedsInstance bool
}

// Schema is the JSON Schema (draft 2020-12) of the file.
func Schema(in SchemaInput) ([]byte, error) { return nil, errPending }

// Digest identifies what the service was configured as.
func (s Service) Digest() string { return "" }

// Locate is the position of a key under the service.
func (s Service) Locate(path ...string) Pos { return s.Pos }

// Digest identifies what the provider was configured as.
func (p Provider) Digest() string { return "" }

// Locate is the position of a key under the provider.
func (p Provider) Locate(path ...string) Pos { return p.Pos }

// Decode fills into, a pointer to a struct with yaml tags, and refuses unknown
// keys; the error is Errors.
func (s Section) Decode(into any) error { return errPending }
