package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
)

// legacyName is what the old program was called.
const legacyName = "secretless-broker"

// Main runs the command line argv, the program's name included: under the old
// program's name, as which packages link it, it takes the old program's flags.
func Main(ctx context.Context, env Env, argv []string) int {
	name, args := "secretless", []string(nil)
	if len(argv) > 0 {
		name, args = argv[0], argv[1:]
	}
	if strings.TrimSuffix(filepath.Base(name), ".exe") == legacyName {
		return RunLegacy(ctx, env, args)
	}
	return Run(ctx, env, args)
}

// RunLegacy runs the broker with the old program's flags: single dash or
// double, the same names, the same defaults.
func RunLegacy(ctx context.Context, env Env, args []string) int {
	translated, err := translateLegacy(env, args)
	if errors.Is(err, flag.ErrHelp) {
		return ExitOK
	}
	if err != nil {
		return exitCode(env, usage(err))
	}
	return Run(ctx, env, translated)
}

// translateLegacy turns the old flags into the arguments of today's commands.
func translateLegacy(env Env, args []string) ([]string, error) {
	flags := flag.NewFlagSet(legacyName, flag.ContinueOnError)
	flags.SetOutput(env.Stderr)
	file := flags.String("f", "", "configuration file")
	watch := flags.Bool("watch", false, "reload when the configuration file changes")
	debug := flags.Bool("debug", false, "log more")
	manager := flags.String("config-mgr", "configfile", "configfile[#PATH] or k8s/crd#NAME")
	flags.Bool("graceful-exit", false, "accepted; the broker always stops gracefully")
	version := flags.Bool("version", false, "print the version")
	plugins := flags.String("p", "", "accepted for old command lines; plugins are not loaded")
	checksums := flags.String("s", "", "accepted for old command lines; plugins are not loaded")
	profile := flags.String("profile", "", "accepted for old command lines; without effect")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if *version || flags.Arg(0) == "version" {
		return []string{"version"}, nil
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: secretless-broker takes flags only, see -help", flags.Arg(0))
	}
	for name, value := range map[string]string{"p": *plugins, "s": *checksums, "profile": *profile} {
		if value != "" {
			fmt.Fprintf(env.Stderr, "secretless-broker: -%s has no effect in this version\n", name)
		}
	}
	out := []string{"serve", "--config-mgr=" + *manager}
	if *file != "" {
		out = append(out, "--config="+*file)
	}
	if *watch {
		out = append(out, "--watch")
	}
	if *debug {
		out = append(out, "--log-level=debug")
	}
	return out, nil
}
