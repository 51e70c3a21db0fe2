package cli

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"secretless/internal/admin"
	"secretless/internal/top"
)

// topOptions are the flags of top.
type topOptions struct {
	adminFlags
	interval time.Duration
	once     bool
	batch    bool
	times    int
}

// shortestInterval keeps a broker from being asked all the time.
const shortestInterval = 100 * time.Millisecond

func topCommand(env Env) *cobra.Command {
	var o topOptions
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch what the running broker does",
		Long: `Watch the running broker: services with their rates, providers, open connections
and the last errors, again and again. Rates are those of the last interval. Where
the output is no terminal, and with --once or --batch, it is plain text.

Keys: q quits; j and k or the arrows choose a connection, PgUp, PgDn, Home and End
go further; s sorts connections by rate, bytes, idle time or age; x closes the
chosen connection, after a question.`,
		Example: `  secretless top
  secretless top --once
  secretless top --batch --interval 10s >> top.log`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runTop(cmd.Context(), env, o) },
	}
	o.register(cmd)
	cmd.Flags().DurationVar(&o.interval, "interval", 2*time.Second, "the time between two looks")
	cmd.Flags().BoolVar(&o.once, "once", false, "print one view as plain text, after one interval")
	cmd.Flags().BoolVar(&o.batch, "batch", false, "print views as plain text, one each interval")
	cmd.Flags().IntVarP(&o.times, "times", "n", 0, "with --batch: how many views (default: until it is stopped)")
	return cmd
}

func runTop(ctx context.Context, env Env, o topOptions) error {
	switch {
	case o.interval < shortestInterval:
		return usage(fmt.Errorf("--interval %v: the shortest is %v", o.interval, shortestInterval))
	case o.times < 0:
		return usage(fmt.Errorf("--times %d: give a number from 1", o.times))
	case o.once:
		o.batch, o.times = true, 1
	}
	client, err := o.client(env)
	if err != nil {
		return err
	}
	signals, stop := env.Notify(append(lifecycleSignals(), syscall.SIGQUIT, top.ResizeSignal)...)
	defer stop()
	in, out := topTerminal(env)
	if in == nil || o.batch || !top.Interactive {
		return printTop(ctx, env, o, client, signals)
	}
	by, err := top.Run(ctx, top.RunOptions{Source: client, In: in, Out: out, Interval: o.interval, Signals: signals})
	if err != nil {
		return failed(err)
	}
	if by != nil {
		return &exitError{code: signalExitCode(by)}
	}
	return nil
}

// topTerminal is the one that the user sits at, nil where there is none that can
// be drawn on.
func topTerminal(env Env) (in, out *os.File) {
	in, isFile := env.Stdin.(*os.File)
	out, isFileToo := env.Stdout.(*os.File)
	if kind, _ := env.LookupEnv("TERM"); !isFile || !isFileToo || kind == "dumb" || kind == "" || !isTerminal(in) || !isTerminal(out) {
		return nil, nil
	}
	return in, out
}

func printTop(ctx context.Context, env Env, o topOptions, client *admin.Client, signals <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var by os.Signal
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case by = <-signals:
				if by != top.ResizeSignal {
					cancel()
					return
				}
				by = nil
			case <-over:
				return
			}
		}
	}()
	err := top.Print(ctx, top.PrintOptions{Source: client, To: env.Stdout, Interval: o.interval, Times: o.times})
	close(over)
	<-done
	if err != nil {
		return failed(err)
	}
	if by != nil {
		return &exitError{code: signalExitCode(by)}
	}
	return nil
}
