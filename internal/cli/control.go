package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"secretless/internal/admin"
	"secretless/internal/top"
)

func reloadCommand(env Env) *cobra.Command {
	var flags adminFlags
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make the running broker read its configuration again",
		Long: `Make the running broker read its configuration again, as SIGHUP does, and say what
is wrong with it; a bad one changes nothing. Services that were drained accept
connections again.`,
		Example: `  secretless reload
  secretless reload --socket /run/secretless/admin.sock`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := flags.client(env)
			if err != nil {
				return err
			}
			if err := client.Reload(cmd.Context()); err != nil {
				return failed(err)
			}
			_, err = fmt.Fprintln(env.Stdout, "reloaded")
			return err
		},
	}
	flags.register(cmd)
	return cmd
}

func logLevelCommand(env Env) *cobra.Command {
	var flags adminFlags
	var during time.Duration
	cmd := &cobra.Command{
		Use:   "log-level [debug|info|warn|error]",
		Short: "Show or change the running broker's log level",
		Long: `Show the running broker's log level, or change it until the broker ends, or for a
while: then the level before comes back by itself.`,
		Example: `  secretless log-level
  secretless log-level debug --for 10m`,
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: []string{"debug", "info", "warn", "error"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if during < 0 || during > 0 && len(args) == 0 {
				return usage(fmt.Errorf("--for %v: give a level and a time", during))
			}
			client, err := flags.client(env)
			if err != nil {
				return err
			}
			var r admin.LevelReport
			if len(args) == 0 {
				r, err = client.LogLevel(cmd.Context())
			} else {
				q := admin.LevelRequest{Level: args[0]}
				if during > 0 {
					q.For = during.String()
				}
				r, err = client.SetLogLevel(cmd.Context(), q)
			}
			if err != nil {
				return failed(err)
			}
			text := r.Level
			if r.Until != nil {
				text += fmt.Sprintf(" until %s, then %s", r.Until.Local().Format(time.TimeOnly), r.Then)
			}
			_, err = fmt.Fprintln(env.Stdout, top.Escape(text))
			return err
		},
	}
	flags.register(cmd)
	cmd.Flags().DurationVar(&during, "for", 0, "for how long (10m, at most 24h); without it until the broker ends")
	return cmd
}
