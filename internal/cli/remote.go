package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"secretless/internal/admin"
	"secretless/internal/assemble"
	"secretless/internal/config"
)

// adminFlags say which broker a command talks to.
type adminFlags struct {
	file   string
	socket string
}

func (f *adminFlags) register(cmd *cobra.Command) {
	configFlag(cmd, &f.file)
	cmd.Flags().StringVar(&f.socket, "socket", "", "the broker's admin socket (default: admin.socket of the configuration)")
}

// client finds the admin socket. The configuration is only read for its
// address, so mistakes elsewhere in it do not stand in the way.
func (f *adminFlags) client(env Env) (*admin.Client, error) {
	if f.socket != "" {
		return admin.Dial(f.socket), nil
	}
	file, name, err := parseOnly(env, f.file)
	if err != nil {
		return nil, err
	}
	if file.Admin.Socket == nil {
		return nil, usage(fmt.Errorf("%s has no admin.socket: add one, or name the broker's with --socket", name))
	}
	return admin.Dial(file.Admin.Socket.Address), nil
}

// parseOnly reads a configuration for what it says about the broker itself:
// nothing is built, and mistakes are reported only where nothing can be read.
func parseOnly(env Env, path string) (file *config.File, name string, err error) {
	src, err := openConfig(env, path)
	if err != nil {
		return nil, "", err
	}
	a := assemble.New(assemble.Options{LookupEnv: env.LookupEnv, Log: slog.New(slog.DiscardHandler)})
	file, err = a.Parse(src.name, src.data)
	if file == nil {
		return nil, "", usage(err)
	}
	return file, src.name, nil
}

func reloadCommand(env Env) *cobra.Command {
	var flags adminFlags
	cmd := &cobra.Command{
		Use:     "reload",
		Short:   "Make the running broker read its configuration again",
		Example: "  secretless reload --socket /run/secretless/admin.sock",
		Args:    cobra.NoArgs,
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

func statusCommand(env Env) *cobra.Command {
	var flags adminFlags
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show the running broker's services and counters",
		Example: "  secretless status --socket /run/secretless/admin.sock",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := flags.client(env)
			if err != nil {
				return err
			}
			var report statusReport
			if err := client.Status(cmd.Context(), &report); err != nil {
				return failed(err)
			}
			return printStatus(env, report)
		},
	}
	flags.register(cmd)
	return cmd
}

func printStatus(env Env, r statusReport) error {
	w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\n%s, %s, %d reloads, %d failed\n\n", r.Version, r.Config, readiness(r.Ready), r.Reloads.Succeeded, r.Reloads.Failed)
	if r.Source != "" {
		fmt.Fprintf(w, "%s\n\n", r.Source)
	}
	if r.Reloads.LastError != "" {
		fmt.Fprintf(w, "the last reload failed, the configuration before it is running:\n%s\n\n", r.Reloads.LastError)
	}
	fmt.Fprintln(w, "SERVICE\tCONNECTOR\tADDRESSES\tOPEN\tACCEPTED\tREFUSED\tFAILED")
	for _, s := range r.Services {
		name := s.Name
		if len(s.Members) > 0 {
			name = strings.Join(s.Members, ",")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\n", name, s.Connector, strings.Join(s.Addresses, " "), s.Active, s.Accepted, s.Refused, s.Failed)
	}
	return w.Flush()
}

func readiness(ready bool) string {
	if ready {
		return "ready"
	}
	return "not ready"
}

// failed is an error of what was asked, not of how it was asked.
func failed(err error) error {
	if _, ok := errors.AsType[*exitError](err); ok {
		return err
	}
	return &exitError{code: ExitFailure, err: err}
}
