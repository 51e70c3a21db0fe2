package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"secretless/internal/config"
)

// configSource is where a broker's configuration comes from, the first and every
// later one. For one caller at a time.
type configSource interface {
	// String is what the log and status call it.
	String() string
	// read returns the configuration as it is now.
	read() (source, error)
	// changes tells when it has become another than read returned last, also
	// between the read and this call. It is nil where only a signal or a request
	// asks for a reload.
	changes() <-chan struct{}
	// report says what became of what read returned last.
	report(verdict)
	// state is what status says about the way to it; empty where there is
	// nothing to say.
	state() string
	// waits says whether a broker that has no configuration that works yet waits
	// for one, or gives up.
	waits() bool
	close()
}

// verdict is what became of a configuration.
type verdict struct {
	err      error // nil where it runs now
	warnings []config.Diagnostic
	services int
}

// openSource finds the source that the command line names.
func openSource(env Env, o serveOptions, log *slog.Logger) (configSource, error) {
	if id, name, _ := strings.Cut(o.manager, "#"); id == crdManager {
		if o.file != "" {
			return nil, usage(fmt.Errorf("-f %s and --config-mgr %s are two configurations: give one of them", o.file, o.manager))
		}
		s, err := openKubeSource(env, name, log)
		if err != nil {
			return nil, usage(err)
		}
		return s, nil
	}
	path, err := configFile(o.file, o.manager)
	if err != nil {
		return nil, usage(err)
	}
	switch {
	case path == "-" && o.watch:
		return nil, usage(errors.New("--watch needs a file: the configuration comes from standard input"))
	case path == "-":
		return &stdinSource{env: env}, nil
	}
	return &fileSource{env: env, path: path, watch: o.watch}, nil
}

// configFile is the file that -f and --config-mgr name together; empty where
// neither does.
func configFile(file, manager string) (string, error) {
	id, spec, _ := strings.Cut(manager, "#")
	if id != "" && id != "configfile" {
		return "", fmt.Errorf("--config-mgr %s: unknown configuration manager; write configfile#PATH or %s#NAME", manager, crdManager)
	}
	if file != "" && spec != "" && file != spec {
		return "", fmt.Errorf("-f %s and --config-mgr %s name different files: give one of them", file, manager)
	}
	if file == "" {
		return spec, nil
	}
	return file, nil
}
