package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// profileOptions are the flags of profile.
type profileOptions struct {
	adminFlags
	output  string
	seconds int
}

func profileCommand(env Env) *cobra.Command {
	var o profileOptions
	cmd := &cobra.Command{
		Use:   "profile cpu|trace|mutex|block|goroutine|heap|allocs|threadcreate",
		Short: "Fetch a profile of the running broker, for go tool pprof",
		Long: `Fetch a profile of the running broker: where it spends time (cpu, over --seconds),
what waits for locks and channels (mutex, block), what its goroutines do, what has
allocated memory (heap, allocs), or an execution trace for go tool trace. Profiles
name functions and count; none holds what is in memory, so that none holds a
secret.`,
		Example: `  secretless profile cpu --seconds 30 -o cpu.pprof && go tool pprof -top cpu.pprof
  secretless profile goroutine -o - | go tool pprof -top /dev/stdin`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{"cpu", "trace", "mutex", "block", "goroutine", "heap", "allocs", "threadcreate"},
		RunE:      func(cmd *cobra.Command, args []string) error { return profile(cmd.Context(), env, o, args[0]) },
	}
	o.register(cmd)
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "the file to write, - for standard output (default: NAME.pprof)")
	cmd.Flags().IntVar(&o.seconds, "seconds", 0, "over how many seconds, for cpu, trace, mutex and block (default 10)")
	return cmd
}

func profile(ctx context.Context, env Env, o profileOptions, name string) error {
	if o.seconds < 0 {
		return usage(fmt.Errorf("--seconds %d: give a number from 1", o.seconds))
	}
	client, err := o.client(env)
	if err != nil {
		return err
	}
	// A minute more than it takes: the broker may be busy, which is why it is
	// looked at.
	ctx, cancel := context.WithTimeout(ctx, time.Duration(o.seconds)*time.Second+2*time.Minute)
	defer cancel()
	data, err := client.Profile(ctx, name, o.seconds)
	if err != nil {
		return failed(err)
	}
	if o.output == "-" {
		_, err = env.Stdout.Write(data)
		return err
	}
	path := o.output
	if path == "" {
		path = name + ".pprof"
	}
	if err := writeNew(path, data); err != nil {
		return failed(err)
	}
	_, err = fmt.Fprintf(env.Stdout, "%s: %d bytes\n", path, len(data))
	return err
}

// writeNew writes a file that was not there.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already: name another file with -o", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
