//go:build unix

package exec

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// checkFiles refuses a command that everybody could replace: its program, files
// that are arguments (a script for an interpreter), and every directory above
// them. It is done before each start; who can change the outcome meanwhile is
// not everybody.
func (c command) checkFiles() error {
	for i, arg := range c.argv {
		if !filepath.IsAbs(arg) {
			continue
		}
		if info, err := os.Stat(arg); err != nil || i > 0 && !info.Mode().IsRegular() {
			continue // a missing program has a better error, and not every argument is a file
		}
		if err := checkPath(arg); err != nil {
			return err
		}
	}
	return nil
}

// checkPath looks at the path as it is written, and at where links lead.
func checkPath(path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("looking at %s: %w", path, err)
	}
	for _, p := range []string{filepath.Clean(path), real} {
		if err := checkAbove(p); err != nil {
			return err
		}
	}
	return nil
}

// checkAbove walks from the root down to path.
func checkAbove(path string) error {
	shared := false // the directory above is one like /tmp
	at := "/"
	for _, name := range strings.Split(path, "/") {
		at = filepath.Join(at, name)
		info, err := os.Lstat(at)
		if err != nil {
			return fmt.Errorf("looking at %s: %w", at, err)
		}
		if shared && !ours(info) {
			return fmt.Errorf("command is refused: %s belongs to another user, in a directory where everybody may create files", at)
		}
		if info.Mode().Type() == fs.ModeSymlink {
			continue // its mode says nothing
		}
		writable := info.Mode().Perm()&0o002 != 0
		shared = writable && info.IsDir() && info.Mode()&fs.ModeSticky != 0
		if writable && !shared {
			return fmt.Errorf("command is refused: everybody may write to %s; chmod o-w %[1]s", at)
		}
	}
	return nil
}

// ours tells whether a file belongs to the broker's user or to root.
func ours(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && (s.Uid == 0 || int(s.Uid) == os.Geteuid())
}
