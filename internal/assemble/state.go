package assemble

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"secretless/internal/config"
)

// StateDir is where the connectors of a file keep what outlives the process.
func (a *Assembler) StateDir(file *config.File) (string, error) {
	return (&build{Assembler: a, file: file}).stateDir()
}

// stateDir is where connectors keep what outlives the process. It is made on
// first use: a broker whose connectors keep nothing leaves no directory behind.
func (b *build) stateDir() (string, error) {
	dir := b.file.State
	if dir == "" {
		var err error
		if dir, err = b.defaultState(); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making the state directory: %w; name one that the broker may write to as state in the configuration", err)
	}
	return dir, nil
}

// defaultState is what systemd made for the unit (StateDirectory=), else it
// follows the XDG base directory specification.
func (b *build) defaultState() (string, error) {
	if list, ok := b.lookupEnv("STATE_DIRECTORY"); ok {
		if first, _, _ := strings.Cut(list, ":"); filepath.IsAbs(first) {
			return first, nil
		}
	}
	if base, ok := b.lookupEnv("XDG_STATE_HOME"); ok && filepath.IsAbs(base) {
		return filepath.Join(base, "secretless"), nil
	}
	if home, ok := b.lookupEnv("HOME"); ok && filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "secretless"), nil
	}
	return "", errors.New("there is no place for the state directory: neither STATE_DIRECTORY nor XDG_STATE_HOME nor HOME is set; name one as state in the configuration")
}
