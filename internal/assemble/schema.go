package assemble

import (
	"secretless/internal/config"
	"secretless/internal/connector"
	"secretless/internal/provider"
)

// SchemaInput describes the tables to config.Schema, which knows neither
// connectors nor providers.
func SchemaInput(connectors map[string]connector.Definition, providers map[string]provider.Definition) config.SchemaInput {
	in := config.SchemaInput{
		Connectors: make(map[string]config.ConnectorSchema, len(connectors)),
		Providers:  make(map[string]config.ProviderSchema, len(providers)),
	}
	for id, d := range connectors {
		schema := config.ConnectorSchema{Summary: d.Summary, Config: d.Config, OtherCredentials: d.OtherCredentials}
		for _, c := range d.Credentials {
			schema.Credentials = append(schema.Credentials, config.CredentialSchema{
				Name: c.Name, Doc: c.Doc, Default: c.Default, Required: c.Required && c.Unless == "", Deprecated: c.Deprecated,
			})
		}
		in.Connectors[id] = schema
	}
	for id, d := range providers {
		in.Providers[id] = config.ProviderSchema{
			Summary: d.Summary, Ref: d.Ref, Config: d.Config, NeedsInstance: d.NeedsInstance,
		}
	}
	return in
}
