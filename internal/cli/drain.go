package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"secretless/internal/admin"
)

// drainOptions are the flags of drain.
type drainOptions struct {
	adminFlags
	wait    bool
	timeout time.Duration
}

func drainCommand(env Env) *cobra.Command {
	var o drainOptions
	cmd := &cobra.Command{
		Use:   "drain [SERVICE...]",
		Short: "Make the running broker accept no more connections and let the open ones finish",
		Long: `Make the running broker stop accepting connections of the named services, or of
all, and let those that are open live on until they end by themselves. /ready
answers 503 from then on. secretless reload undoes it. With --wait the command
returns when no connection is left; when --timeout has passed before, the exit
code is 1 and the connections that are left stay.`,
		Example: `  secretless drain --wait --timeout 5m && systemctl stop secretless
  secretless drain orders-db`,
		RunE: func(cmd *cobra.Command, args []string) error { return drain(cmd.Context(), env, o, args) },
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&o.wait, "wait", false, "wait until their connections have ended")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 0, "wait so long at most (default: for ever)")
	return cmd
}

func drain(ctx context.Context, env Env, o drainOptions, services []string) error {
	if o.timeout < 0 || o.timeout > 0 && !o.wait {
		return usage(fmt.Errorf("--timeout %v is how long --wait waits", o.timeout))
	}
	client, err := o.client(env)
	if err != nil {
		return err
	}
	signals, stop := env.Notify(lifecycleSignals()...)
	defer stop()
	d, err := client.Drain(ctx, services...)
	if err != nil {
		return failed(err)
	}
	if !o.wait {
		_, err = fmt.Fprintf(env.Stdout, "%s stopped accepting, %s still open\n", plural(len(d.Services), "service"), plural(int(d.Connections), "connection"))
		return err
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-signals:
			cancel()
		case <-over:
		}
	}()
	left, err := awaitDrained(ctx, client, services)
	switch {
	case err == nil:
		_, err = fmt.Fprintln(env.Stdout, "drained: no connection is left")
		return err
	case ctx.Err() != nil:
		return failed(fmt.Errorf("%s still open: secretless connections shows what is left, secretless close ends one", plural(left, "connection")))
	}
	return failed(err)
}

// drainPoll is how often the broker is asked how many are left.
const drainPoll = 250 * time.Millisecond

// awaitDrained returns when no connection of the services is left, those that
// were drained before included where none is named.
func awaitDrained(ctx context.Context, client *admin.Client, services []string) (left int, err error) {
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for {
		s, err := client.Status(ctx)
		if err != nil {
			return left, err
		}
		left = 0
		for _, v := range s.Services {
			if len(services) == 0 || slices.Contains(services, v.Name) {
				left += int(v.Active)
				if !v.Drained && len(v.Addresses) > 0 {
					return left, fmt.Errorf("service %s accepts connections again: somebody has reloaded the broker", v.Name)
				}
			}
		}
		if left == 0 {
			return 0, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return left, ctx.Err()
		}
	}
}
