//go:build unix

package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// MakePlace makes the directory of an admin socket, for the broker's user
// alone, where it is missing and the one above it exists.
func MakePlace(path string) error {
	err := os.Mkdir(filepath.Dir(path), 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// CheckPlace looks at the directory of an admin socket: it must not be one in
// which everybody can put a socket of their own in its place.
func CheckPlace(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("the admin socket's directory: %w: create it first", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return nil
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("the admin socket's directory %s belongs to another user (uid %d), who could replace the socket: choose another", dir, st.Uid)
	case info.Mode()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0:
		return fmt.Errorf("the admin socket's directory %s can be written to by everybody (mode %04o), who could replace the socket: chmod o-w %s, or choose another", dir, info.Mode().Perm(), dir)
	}
	return nil
}
