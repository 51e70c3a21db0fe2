package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"secretless/internal/config"
)

func convertCommand(env Env) *cobra.Command {
	var file, out string
	cmd := &cobra.Command{
		Use:   "convert [FILE]",
		Short: "Rewrite a version 1 configuration (listeners and handlers) as version 2",
		Long: `Rewrite a configuration of the old format (listeners and handlers) as version 2
and print it, or write it to a new file with -o. What changes meaning or is
dropped is noted on standard error. Nothing existing is overwritten.`,
		Example: `  secretless convert old.yml > secretless.yml
  secretless convert old.yml -o secretless.yml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := oneFile(file, args)
			if err != nil {
				return err
			}
			return convert(env, file, out)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write; must not exist (default: standard output)")
	return cmd
}

func convert(env Env, path, out string) error {
	src, err := openConfig(env, path)
	if err != nil {
		return err
	}
	converted, notes, err := config.Convert(src.name, src.data)
	if err != nil {
		return usage(err)
	}
	for _, n := range notes {
		fmt.Fprintln(env.Stderr, n)
	}
	if out == "" {
		_, err = env.Stdout.Write(converted)
		return err
	}
	// The file may hold literal credentials, as the old one did.
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return &exitError{code: ExitFailure, err: fmt.Errorf("writing the converted configuration: %w", err)}
	}
	_, err = f.Write(converted)
	if err = errors.Join(err, f.Close()); err != nil {
		return &exitError{code: ExitFailure, err: fmt.Errorf("writing the converted configuration: %w", err)}
	}
	return nil
}
