package summon

import (
	"fmt"
	"os"
	"strconv"
)

const prefix = "secretless-summon-"

// Files are a command's temporary files, in a directory that only its user can
// enter, in memory where the system offers that.
type Files struct {
	dir  string
	lock *os.File // held while the directory is in use
	n    int
}

// NewFiles makes the directory in the first of roots that is kept in memory,
// else in the system's place for temporary files. Directories that a process
// left behind when it was killed are removed.
func NewFiles(roots []string) (*Files, error) {
	root := os.TempDir()
	for _, r := range roots {
		if r != "" && inMemory(r) {
			root = r
			break
		}
	}
	sweep(root)
	dir, err := os.MkdirTemp(root, prefix)
	if err != nil {
		return nil, fmt.Errorf("making a directory for temporary files: %w", err)
	}
	f := &Files{dir: dir}
	if f.lock, err = lockDir(dir); err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("locking the directory for temporary files: %w", err)
	}
	return f, nil
}

// Write makes a file with mode 0600 and returns its path.
func (f *Files) Write(content []byte) (string, error) {
	f.n++
	path := f.dir + string(os.PathSeparator) + strconv.Itoa(f.n)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return "", fmt.Errorf("writing a temporary file: %w", err)
	}
	return path, nil
}

// Remove removes all of it. A nil Files has nothing.
func (f *Files) Remove() error {
	if f == nil {
		return nil
	}
	err := os.RemoveAll(f.dir)
	if f.lock != nil {
		_ = f.lock.Close()
	}
	if err != nil {
		return fmt.Errorf("removing temporary files: %w", err)
	}
	return nil
}
