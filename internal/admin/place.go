package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"secretless/internal/place"
)

// MakePlace makes the directory of an admin socket, for the broker's user
// alone, where it is missing and the one above it exists. On Windows, where that
// takes an access list, it makes nothing.
func MakePlace(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	err := os.Mkdir(filepath.Dir(path), 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// CheckPlace looks at the directory of an admin socket: it must not be one in
// which others can put a socket of their own in its place.
func CheckPlace(path string) error {
	dir := filepath.Dir(path)
	who, err := place.Others(dir)
	if err != nil {
		return fmt.Errorf("the admin socket's directory: %w: create it first", err)
	}
	if who != "" {
		return fmt.Errorf("the admin socket's directory %s can be written to by %s, who could replace the socket: chmod go-w %[1]s, or choose another", dir, who)
	}
	return nil
}
