package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"secretless/internal/assemble"
	"secretless/internal/config"
	"secretless/internal/provider"
	"secretless/internal/provider/exec"
)

// executableTimeout bounds a provider of summon, as summon does.
const executableTimeout = time.Minute

// summonSource is where secrets come from, and how its ids are checked.
type summonSource struct {
	*provider.Instance
	checkRef func(string) error
}

// openSummonSource finds what -p means: a path is a program; a name is an
// entry of the configuration, a built-in provider, or a program in summon's
// directory, in this order.
func openSummonSource(env Env, o summonOptions, log *slog.Logger) (*summonSource, error) {
	name, err := summonProviderName(env, o)
	if err != nil {
		return nil, err
	}
	if strings.ContainsRune(name, '/') || strings.ContainsRune(name, os.PathSeparator) {
		return openExecutable(env, name, log)
	}
	a := assemble.New(assemble.Options{LookupEnv: env.LookupEnv, Log: log})
	file, err := summonConfig(env, a, o.config)
	if err != nil {
		return nil, err
	}
	if !a.KnowsProvider(file, name) {
		path := filepath.Join(summonDir(env), name)
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("-p %s: neither an entry of the configuration, nor a built-in provider, nor a program in %s", name, summonDir(env))
		}
		return openExecutable(env, path, log)
	}
	instance, definition, err := a.Provider(file, name)
	if err != nil {
		return nil, err
	}
	return &summonSource{instance, definition.CheckRef}, nil
}

// summonProviders are the names that -p knows, for completion.
func summonProviders(env Env, o summonOptions) []string {
	var names []string
	for name, d := range assemble.Providers() {
		if !d.NeedsInstance {
			names = append(names, name)
		}
	}
	a := assemble.New(assemble.Options{LookupEnv: env.LookupEnv, Log: slog.New(slog.DiscardHandler)})
	if file, _ := summonConfig(env, a, o.config); file != nil { // as far as it can be read
		for _, p := range file.Providers {
			names = append(names, p.Name)
		}
	}
	programs, _ := os.ReadDir(summonDir(env))
	for _, p := range programs {
		names = append(names, p.Name())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func summonProviderName(env Env, o summonOptions) (string, error) {
	if o.provider != "" {
		return o.provider, nil
	}
	if name, _ := env.LookupEnv("SUMMON_PROVIDER"); name != "" {
		return name, nil
	}
	// summon takes the only provider that is installed.
	dir := summonDir(env)
	if found, _ := os.ReadDir(dir); len(found) == 1 {
		return filepath.Join(dir, found[0].Name()), nil
	}
	return "", errors.New("no provider: name one with -p or $SUMMON_PROVIDER")
}

// summonDir is where summon's providers are installed. The directories beside
// the program's own, where summon looks too, are left out: they belong to
// whoever has unpacked it.
func summonDir(env Env) string {
	if dir, _ := env.LookupEnv("SUMMON_PROVIDER_PATH"); dir != "" {
		return dir
	}
	if runtime.GOOS == "windows" {
		programs, _ := env.LookupEnv("ProgramW6432")
		return filepath.Join(programs, "Cyberark Conjur", "Summon", "Providers")
	}
	return "/usr/local/lib/summon"
}

// summonConfig is the broker's configuration, or an empty one where none was
// named and there is none.
func summonConfig(env Env, a *assemble.Assembler, path string) (*config.File, error) {
	src, err := openConfig(env, path)
	if path == "" && errors.Is(err, config.ErrNotFound) {
		return &config.File{Name: "secretless summon"}, nil
	}
	if err != nil {
		return nil, err
	}
	return a.Parse(src.name, src.data)
}

// openExecutable makes an instance of exec that speaks summon's protocol. The
// program gets the whole environment, since that is how summon's providers are
// configured.
func openExecutable(env Env, path string, log *slog.Logger) (*summonSource, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("-p %s: %w", path, err)
	}
	var names []string
	for _, assignment := range env.Environ() {
		if name, _, ok := strings.Cut(assignment, "="); ok && name != "" {
			names = append(names, name)
		}
	}
	definition := exec.Definition()
	p, err := definition.Build(provider.Setup{
		Name: filepath.Base(path),
		Decode: func(into any) error {
			*into.(*exec.Config) = exec.Config{Command: []string{path}, Env: names, Protocol: exec.ProtocolSummon}
			return nil
		},
		LookupEnv: env.LookupEnv,
		Log:       log.With("provider", path),
	})
	if err != nil {
		return nil, fmt.Errorf("-p %s: %w", path, err)
	}
	return &summonSource{provider.NewInstance(provider.InstanceOptions{
		Name: filepath.Base(path), Provider: p, Timeout: executableTimeout, Log: log,
	}), definition.CheckRef}, nil
}
