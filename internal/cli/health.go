package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"secretless/internal/admin"
	"secretless/internal/config"
)

// healthOptions are the flags of health.
type healthOptions struct {
	file    string
	address string
	live    bool
	timeout time.Duration
}

func healthCommand(env Env) *cobra.Command {
	var o healthOptions
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the running broker whether it is ready; the exit code is the answer",
		Long: `Ask the health endpoint of the running broker (admin.health of the
configuration) whether it is ready, or with --live whether it is alive. Made for
the health checks of containers, which have no shell and no curl.

Exit codes: 0 yes, 1 no or no answer, 2 the command line or the configuration is
wrong.`,
		Example: `  secretless health -f /etc/secretless.yml
  secretless health --address unix:///run/secretless/health.sock --live`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return health(cmd.Context(), env, o) },
	}
	configFlag(cmd, &o.file)
	cmd.Flags().StringVar(&o.address, "address", "", "the health endpoint (default: admin.health of the configuration)")
	cmd.Flags().BoolVar(&o.live, "live", false, "ask whether the process is alive, not whether it serves")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 5*time.Second, "how long to wait for the answer")
	return cmd
}

func health(ctx context.Context, env Env, o healthOptions) error {
	at, err := o.endpoint(env)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	path, answer := "/ready", "ready"
	if o.live {
		path, answer = "/live", "alive"
	}
	if err := admin.Probe(ctx, at.Network, at.Address, path); err != nil {
		return failed(err)
	}
	_, err = fmt.Fprintln(env.Stdout, answer)
	return err
}

// endpoint finds the health endpoint. As for the other commands that talk to a
// broker, mistakes elsewhere in the configuration do not stand in the way.
func (o *healthOptions) endpoint(env Env) (config.Listen, error) {
	if o.address != "" {
		at, err := config.ParseListen(o.address)
		if err != nil {
			return at, usage(fmt.Errorf("--address %q %w", o.address, err))
		}
		return at, dialable(at)
	}
	file, name, err := parseOnly(env, o.file)
	if err != nil {
		return config.Listen{}, err
	}
	if file.Admin.Health == nil {
		return config.Listen{}, usage(fmt.Errorf("%s turns the health endpoint off (admin.health); name another broker's with --address", name))
	}
	return *file.Admin.Health, dialable(*file.Admin.Health)
}

// dialable refuses an address that only the broker knows.
func dialable(at config.Listen) error {
	if at.Network == "systemd" {
		return usage(fmt.Errorf("%s is a socket that systemd gave to the broker: name its tcp:// or unix:// address with --address", at.String()))
	}
	return nil
}
