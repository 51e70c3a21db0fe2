package cli

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"secretless/internal/admin"
	"secretless/internal/plainjson"
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

// logging is a log whose level can be changed and whose last errors are kept.
type logging struct {
	*slog.Logger
	level  *admin.Level
	recent *admin.Recent
}

func (f *logFlags) open(env Env) (*logging, error) {
	usual, err := f.parse()
	if err != nil {
		return nil, err
	}
	l := &logging{level: admin.NewLevel(usual), recent: admin.NewRecent()}
	h, err := f.handler(env, l.level)
	if err != nil {
		return nil, err
	}
	l.Logger = slog.New(l.recent.Handler(h))
	return l, nil
}

// logger is a log that stays as it is.
func (f *logFlags) logger(env Env) (*slog.Logger, error) {
	level, err := f.parse()
	if err != nil {
		return nil, err
	}
	h, err := f.handler(env, level)
	if err != nil {
		return nil, err
	}
	return slog.New(h), nil
}

func (f *logFlags) parse() (slog.Level, error) {
	level, ok := admin.ParseLevel(f.level)
	if !ok {
		return 0, usage(fmt.Errorf("--log-level %q: write debug, info, warn or error", f.level))
	}
	return level, nil
}

func (f *logFlags) handler(env Env, level slog.Leveler) (slog.Handler, error) {
	options := &slog.HandlerOptions{Level: level}
	switch {
	case f.format == "text", f.format == "auto" && env.Terminal:
		return slog.NewTextHandler(env.Stderr, options), nil
	case f.format == "json", f.format == "auto":
		return slog.NewJSONHandler(plainjson.Writer(env.Stderr), options), nil
	}
	return nil, usage(fmt.Errorf("--log-format %q: write text, json or auto", f.format))
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
