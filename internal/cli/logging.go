package cli

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// logFlags choose how the broker logs.
type logFlags struct {
	level  string
	format string
}

func (f *logFlags) register(flags *pflag.FlagSet, level string) {
	flags.StringVar(&f.level, "log-level", level, "debug, info, warn or error")
	flags.StringVar(&f.format, "log-format", "auto", "text, json, or auto: text on a terminal, json otherwise")
}

func (f *logFlags) logger(env Env) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return nil, usage(fmt.Errorf("--log-level %q: write debug, info, warn or error", f.level))
	}
	options := &slog.HandlerOptions{Level: level}
	switch {
	case f.format == "text", f.format == "auto" && env.Terminal:
		return slog.New(slog.NewTextHandler(env.Stderr, options)), nil
	case f.format == "json", f.format == "auto":
		return slog.New(slog.NewJSONHandler(env.Stderr, options)), nil
	}
	return nil, usage(fmt.Errorf("--log-format %q: write text, json or auto", f.format))
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
