package cli

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"secretless/internal/assemble"
	"secretless/internal/config"
)

// source is a configuration as it was read.
type source struct {
	path string // "-" for standard input
	name string // how messages call it
	data []byte
	// resource is true for one that a cluster keeps: the data was written for us.
	resource bool
}

// openConfig reads the configuration that path names, or the first of the
// usual places that exists.
func openConfig(env Env, path string) (source, error) {
	if path == "" {
		home, _ := env.LookupEnv("HOME")
		found, err := config.Find(home)
		if err != nil {
			return source{}, usage(err)
		}
		path = found
	}
	name, data, err := config.Read(path, env.Stdin)
	if err != nil {
		return source{}, usage(err)
	}
	return source{path: path, name: name, data: data}, nil
}

// warnReadable looks at who may read the file. Windows has no such mode.
func warnReadable(a *assemble.Assembler, s source, file *config.File) {
	if file.Resource {
		a.WarnLiterals(file, "whoever may read the resource may read it")
		return
	}
	if s.path == "-" || runtime.GOOS == "windows" {
		return
	}
	if info, err := os.Stat(s.path); err == nil && info.Mode().IsRegular() {
		a.WarnReadable(file, info.Mode())
	}
}

// oneFile is the file that a command takes by -f or as its argument.
func oneFile(flag string, args []string) (string, error) {
	switch {
	case len(args) == 0:
		return flag, nil
	case flag != "":
		return "", usage(fmt.Errorf("both -f %s and %s: name one file", flag, args[0]))
	}
	return args[0], nil
}

// load parses and builds. Its error is a config.Errors: everything that is
// wrong with the file, by the parser and by the tables.
func load(a *assemble.Assembler, s source) (*config.File, *assemble.Built, error) {
	file, parseErr := a.Parse(s.name, s.data)
	if file == nil {
		return nil, nil, s.named(parseErr)
	}
	warnReadable(a, s, file)
	built, buildErr := a.Build(file)
	if err := config.Join(s.name, parseErr, buildErr); err != nil {
		if built != nil {
			built.Discard()
		}
		return nil, nil, s.named(err)
	}
	if s.resource {
		built.Warnings = config.PathsOf(s.data).Name(built.Warnings)
	}
	return file, built, nil
}

// named says places as whoever wrote the configuration knows them.
func (s source) named(err error) error {
	list, ok := errors.AsType[config.Errors](err)
	if !ok || !s.resource {
		return err
	}
	return config.Errors(config.PathsOf(s.data).Name(list))
}
