package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"secretless/internal/summon"
)

// exitSummon is how summon ends where it could not run the command: every
// other code is the command's.
const exitSummon = 127

// summonOptions are the flags of summon.
type summonOptions struct {
	provider    string
	config      string
	file        string
	environment string
	define      []string
	yaml        string
	ignore      []string
	ignoreAll   bool
	up          bool
	debug       bool
}

func summonCommand(env Env) *cobra.Command {
	var o summonOptions
	cmd := &cobra.Command{
		Use:   "summon [flags] COMMAND [ARGUMENT…]",
		Short: "Run a command with secrets in its environment, as listed in a secrets.yml",
		Long: `Run a command with the secrets that a secrets.yml lists, in the format of
CyberArk's summon. The command gets them in its environment or in temporary
files: use it for programs that cannot do without, and a connector wherever
there is one, since the program then never holds the secret.

-p is a built-in provider (env, file, …), an entry of the configuration's
providers, or a provider of summon: a path, or a name in $SUMMON_PROVIDER_PATH,
by default /usr/local/lib/summon.

Exit codes: the command's own, 128 and the signal's number where one ended it,
127 where it could not be run.`,
		Example: `  secretless summon -p env make deploy
  secretless summon -p vault -e production -D region=eu ./start.sh
  secretless summon -p pass --config secretless.yml -f db.yml psql
  secretless summon -p vault docker run --env-file @SUMMONENVFILE app
  secretless summon -p file --yaml 'TOKEN: !var /run/secrets/token' ./job`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return summonFailed(runSummon(cmd.Context(), env, o, args))
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return summonFailed(fmt.Errorf("%w (see secretless summon --help)", err))
	})
	flags := cmd.Flags()
	flags.SetInterspersed(false) // what follows the command is the command's
	flags.StringVarP(&o.provider, "provider", "p", "", "where secrets come from (default: $SUMMON_PROVIDER)")
	flags.StringVar(&o.config, "config", "", "configuration with the entry that -p names (default: as for serve, if there is one)")
	flags.StringVarP(&o.file, "file", "f", "secrets.yml", "the list of secrets")
	flags.StringVarP(&o.environment, "environment", "e", "", "section of the list to use, with its section common or default")
	flags.StringArrayVarP(&o.define, "define", "D", nil, "name=value that replaces $name in the list; may be repeated")
	flags.StringVar(&o.yaml, "yaml", "", "the list itself, in place of a file")
	flags.StringArrayVarP(&o.ignore, "ignore", "i", nil, "variable (or its id) to leave out if it cannot be fetched; may be repeated")
	flags.BoolVarP(&o.ignoreAll, "ignore-all", "I", false, "leave out every variable that cannot be fetched")
	flags.BoolVarP(&o.up, "up", "u", false, "look for the file in the directories above as well")
	flags.BoolVarP(&o.debug, "debug", "d", false, "log more, to standard error")
	_ = cmd.RegisterFlagCompletionFunc("provider", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return summonProviders(env, o), cobra.ShellCompDirectiveDefault // a path is fine, too
	})
	return cmd
}

// summonFailed gives errors summon's exit code; the command's passes through.
func summonFailed(err error) error {
	if exit, ok := err.(*exitError); ok && exit.err == nil || err == nil { //nolint:errorlint // not one that is wrapped
		return err
	}
	return &exitError{code: exitSummon, err: err}
}

func runSummon(ctx context.Context, env Env, o summonOptions, argv []string) error {
	if len(argv) == 0 {
		return errors.New("no command to run; write it behind the flags (see secretless summon --help)")
	}
	level := slog.LevelWarn
	if o.debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: level}))
	entries, name, err := o.entries()
	if err != nil {
		return err
	}
	log.Debug("list read", "file", name, "variables", len(entries))
	values, source, err := fetchSummon(ctx, env, o, name, entries, log)
	if err != nil {
		return err
	}
	defer source.Close()
	child := child{env: env, argv: argv, stay: source.Tends()}
	return child.run(values, o.environment)
}

// entries reads the list; name is what errors call it.
func (o summonOptions) entries() (entries []summon.Entry, name string, err error) {
	define := map[string]string{}
	for _, d := range o.define {
		key, value, ok := strings.Cut(d, "=")
		if !ok || key == "" {
			return nil, "", fmt.Errorf("-D %s: write name=value", d)
		}
		define[key] = value
	}
	name, text := "--yaml", []byte(o.yaml)
	if o.yaml == "" {
		if name, text, err = o.read(); err != nil {
			return nil, "", err
		}
	}
	entries, err = summon.Parse(name, text, summon.Options{Environment: o.environment, Define: define})
	return entries, name, err
}

func (o summonOptions) read() (path string, text []byte, err error) {
	path = o.file
	if o.up {
		if path, err = findAbove(o.file); err != nil {
			return "", nil, err
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return "", nil, fmt.Errorf("reading the list of secrets: %w; name it with -f", err)
	}
	defer func() { _ = f.Close() }()
	if text, err = io.ReadAll(io.LimitReader(f, summon.MaxFile+1)); err != nil {
		return "", nil, fmt.Errorf("reading the list of secrets: %w", err)
	}
	return path, text, nil
}

// findAbove looks for a file in the working directory and all above it.
func findAbove(file string) (string, error) {
	if filepath.IsAbs(file) {
		return "", fmt.Errorf("--up with -f %s: a path from the root is in one place only", file)
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("looking for %s: %w", file, err)
	}
	for start := dir; ; {
		path := filepath.Join(dir, file)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("looking for %s: %w", file, err)
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", fmt.Errorf("neither %s nor a directory above it has %s", start, file)
		}
		dir = above
	}
}
