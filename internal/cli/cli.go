// Package cli is the program: one file a command. Everything it takes from
// the process (streams, environment, signals) comes in through Env, and what
// comes out is an exit code, so that tests can run it and main only exits.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"secretless/internal/config"
)

// Exit codes.
const (
	ExitOK      = 0 // done, or stopped in order
	ExitFailure = 1 // could not start, or could not do what was asked
	ExitUsage   = 2 // the command line or the configuration is wrong; nothing was started
)

// Env is what a command sees of its process.
type Env struct {
	Stdin     io.Reader
	Stdout    io.Writer
	Stderr    io.Writer
	LookupEnv func(string) (string, bool)
	// Environ is os.Environ or a test's.
	Environ func() []string
	// Notify subscribes to signals until the returned function is called.
	Notify func(...os.Signal) (<-chan os.Signal, func())
	// Hardens allows the broker to give up rights of the process, for good.
	Hardens bool
	// Terminal tells whether Stderr is one.
	Terminal bool
}

// Process is the Env of the running process.
func Process() Env {
	return Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		LookupEnv: os.LookupEnv,
		Environ:   os.Environ,
		Notify: func(s ...os.Signal) (<-chan os.Signal, func()) {
			c := make(chan os.Signal, 8)
			signal.Notify(c, s...)
			return c, func() { signal.Stop(c) }
		},
		Hardens:  true,
		Terminal: isTerminal(os.Stderr),
	}
}

// exitError carries an exit code up to Run. With a nil err the command has
// said everything itself.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usage(err error) error { return &exitError{code: ExitUsage, err: err} }

// Run runs the command line args and returns the exit code.
func Run(ctx context.Context, env Env, args []string) int {
	root := rootCommand(env)
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	return exitCode(env, root.ExecuteContext(ctx))
}

func exitCode(env Env, err error) int {
	if err == nil {
		return ExitOK
	}
	exit, ok := errors.AsType[*exitError](err)
	if !ok {
		// What cobra itself returns is about the command line.
		exit = &exitError{code: ExitUsage, err: fmt.Errorf("%w (see secretless --help)", err)}
	}
	if list, ok := errors.AsType[config.Errors](exit.err); ok {
		// file:line:column first, so that editors and terminals find it.
		fmt.Fprintln(env.Stderr, list)
	} else if exit.err != nil {
		fmt.Fprintf(env.Stderr, "secretless: %v\n", exit.err)
	}
	return exit.code
}

// noCommand refuses a word that is no command, and says which may be meant.
func noCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var known []string
	for _, c := range root.Commands() {
		if !c.Hidden {
			known = append(known, c.Name())
		}
	}
	return fmt.Errorf("unknown command %q%s", args[0], config.DidYouMean(args[0], known))
}

// helpCommand is cobra's, which shows the help of secretless for a command that
// does not exist.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err == nil {
				err = noCommand(cmd, rest)
			}
			if err != nil {
				return err
			}
			return cmd.Help()
		},
	}
}

// Commands is the tree of commands, for what describes them.
func Commands() *cobra.Command { return rootCommand(Env{}) }

func rootCommand(env Env) *cobra.Command {
	serve := serveCommand(env)
	root := &cobra.Command{
		Use:   "secretless",
		Short: "Connect programs to what they need without giving them a secret",
		Long: `Secretless listens on local sockets, fetches credentials from a provider, logs
in to the target for the program that connected, and then moves bytes. The
program never holds the secret.`,
		Example: `  secretless -f secretless.yml              run the broker
  secretless validate -f secretless.yml     check a configuration, start nothing
  psql -h 127.0.0.1 -p 5432 orders          connect through it, without a password
  secretless doctor -f secretless.yml       try every credential and every target
  secretless summon -p env make deploy      run a program that must have secrets itself`,
		Args:          noCommand,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          serve.RunE,
	}
	root.SetHelpCommand(helpCommand(root))
	// `secretless -f FILE` is `secretless serve -f FILE`.
	root.Flags().AddFlagSet(serve.Flags())
	root.AddCommand(serve, validateCommand(env), convertCommand(env), schemaCommand(env),
		summonCommand(env), doctorCommand(env), healthCommand(env), statusCommand(env), topCommand(env), connectionsCommand(env),
		closeCommand(env), reloadCommand(env), drainCommand(env), logLevelCommand(env), profileCommand(env),
		caCommand(env), envCommand(env), versionCommand(env))
	return root
}
