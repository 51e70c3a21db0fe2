package cli

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"secretless/internal/assemble"
)

func validateCommand(env Env) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Check a configuration; start nothing, connect nowhere, read no secret",
		Long: `Check a configuration as serve would, without listening, connecting or reading
a secret. Every mistake is printed as file:line:column with what to do.

Exit codes: 0 the file is fine (warnings are printed), 2 it is not.`,
		Example: `  secretless validate -f secretless.yml
  secretless validate - < secretless.yml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := oneFile(file, args)
			if err != nil {
				return err
			}
			return validate(env, file)
		},
	}
	configFlag(cmd, &file)
	return cmd
}

func validate(env Env, path string) error {
	src, err := openConfig(env, path)
	if err != nil {
		return err
	}
	a := assemble.New(assemble.Options{LookupEnv: env.LookupEnv, Log: slog.New(slog.DiscardHandler)})
	defer a.Close()
	file, built, err := load(a, src)
	if err != nil {
		return usage(err)
	}
	defer built.Discard()
	if err := checkHardening(a, file, built); err != nil {
		return usage(err)
	}
	for _, w := range built.Warnings {
		fmt.Fprintf(env.Stderr, "%s (warning)\n", w)
	}
	_, err = fmt.Fprintf(env.Stdout, "%s: ok, %s\n", src.name, plural(len(file.Services), "service"))
	return err
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
