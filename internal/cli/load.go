package cli

import (
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
	return source{path, name, data}, nil
}

// warnReadable looks at who may read the file. Windows has no such mode.
func warnReadable(a *assemble.Assembler, s source, file *config.File) {
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
		return nil, nil, parseErr
	}
	warnReadable(a, s, file)
	built, buildErr := a.Build(file)
	if err := config.Join(s.name, parseErr, buildErr); err != nil {
		if built != nil {
			built.Discard()
		}
		return nil, nil, err
	}
	return file, built, nil
}
