package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Read reads the file at path, or stdin for "-", up to
// just over the size that Parse accepts. name is what messages call it.
func Read(path string, stdin io.Reader) (name string, data []byte, err error) {
	if path == "-" {
		data, err = io.ReadAll(io.LimitReader(stdin, maxFile+1))
		if err != nil {
			return "", nil, fmt.Errorf("read configuration from standard input: %w", err)
		}
		return "<stdin>", data, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return "", nil, fmt.Errorf("read configuration: %s is a directory; name the file in it", path)
	}
	data, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", nil, fmt.Errorf("read configuration: %w", err)
	}
	return path, data, nil
}

// ErrNotFound says that none of the usual places has a configuration.
var ErrNotFound = errors.New("no configuration")

// Find is the configuration to use where none was named: the first that
// exists of ./secretless.yml, ~/.secretless.yml and /etc/secretless.yml. A
// file that exists but cannot be read is found: falling through to another
// one would run the wrong configuration. home may be empty.
func Find(home string) (string, error) {
	places := []string{"secretless.yml"}
	if home != "" {
		places = append(places, filepath.Join(home, ".secretless.yml"))
	}
	return findIn(append(places, "/etc/secretless.yml"))
}

func findIn(places []string) (string, error) {
	tried := ""
	for _, p := range places {
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) {
			return p, nil
		}
		tried += ", " + p
	}
	return "", fmt.Errorf("%w: none of %s exists; name one with -f FILE", ErrNotFound, tried[2:])
}
