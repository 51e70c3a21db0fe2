package cli

import (
	"github.com/spf13/cobra"

	"secretless/internal/assemble"
	"secretless/internal/config"
)

func schemaCommand(env Env) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of secretless.yml, for editors and CI",
		Long: `Print the JSON Schema (draft 2020-12) of secretless.yml. It is generated from the
types that the broker itself decodes into.`,
		Example: `  secretless schema > secretless.schema.json
  # then, as the first line of secretless.yml:
  # yaml-language-server: $schema=./secretless.schema.json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := config.Schema(assemble.SchemaInput(assemble.Connectors(), assemble.Providers()))
			if err != nil {
				return failed(err)
			}
			_, err = env.Stdout.Write(text)
			return err
		},
	}
}
