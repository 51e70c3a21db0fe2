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

// StateDirName is StateDir without making it.
func (a *Assembler) StateDirName(file *config.File) (string, error) {
	if file.State != "" {
		return file.State, nil
	}
	return a.defaultState()
}

// stateDir is where connectors keep what outlives the process. It is made on
// first use: a broker whose connectors keep nothing leaves no directory behind,
// unless it is hardened, which it then needs to be made before.
func (b *build) stateDir() (string, error) {
	dir, err := b.StateDirName(b.file)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making the state directory: %w; name one that the broker may write to as state in the configuration", err)
	}
	return dir, nil
}

// defaultState is what systemd made for the unit (StateDirectory=), else it
// follows the XDG base directory specification.
func (a *Assembler) defaultState() (string, error) {
	if list, ok := a.lookupEnv("STATE_DIRECTORY"); ok {
		if first, _, _ := strings.Cut(list, ":"); filepath.IsAbs(first) {
			return first, nil
		}
	}
	if base, ok := a.lookupEnv("XDG_STATE_HOME"); ok && filepath.IsAbs(base) {
		return filepath.Join(base, "secretless"), nil
	}
	if home, ok := a.lookupEnv("HOME"); ok && filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "secretless"), nil
	}
	return "", errors.New("there is no place for the state directory: neither STATE_DIRECTORY nor XDG_STATE_HOME nor HOME is set; name one as state in the configuration")
}
