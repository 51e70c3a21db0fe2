package cli

import (
	"github.com/spf13/cobra"

	"secretless/internal/assemble"
	"secretless/internal/audit"
	"secretless/internal/config"
)

func schemaCommand(env Env) *cobra.Command {
	cmd := &cobra.Command{
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
	cmd.AddCommand(crdCommand(env), auditSchemaCommand(env))
	return cmd
}

func crdCommand(env Env) *cobra.Command {
	return &cobra.Command{
		Use:   "crd",
		Short: "Print the CustomResourceDefinition for configurations in Kubernetes",
		Long: `Print the CustomResourceDefinition of configurations.secretless.io. Its schema is
generated from the types that the broker itself decodes into.
SECRETLESS_CRD_SUFFIX makes it that of another API group.`,
		Example: "  secretless schema crd | kubectl apply -f -",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			suffix, _ := env.LookupEnv("SECRETLESS_CRD_SUFFIX")
			text, err := config.CRD(assemble.SchemaInput(assemble.Connectors(), assemble.Providers()), suffix)
			if err != nil {
				return failed(err)
			}
			_, err = env.Stdout.Write(text)
			return err
		},
	}
}

func auditSchemaCommand(env Env) *cobra.Command {
	return &cobra.Command{
		Use:     "audit",
		Short:   "Print the JSON Schema of audit events",
		Long:    "Print the JSON Schema (draft 2020-12) of a line of the audit.",
		Example: "  secretless schema audit > audit.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := env.Stdout.Write(audit.Schema())
			return err
		},
	}
}
