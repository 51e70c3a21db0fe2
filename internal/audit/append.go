package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"secretless/internal/place"
)

// openAppend opens the file, or makes it. A link in its place is not followed:
// who may write to the directory could lead a broker that runs as root to any
// file of the system, into which lines would be written that hold what clients
// and targets say.
func openAppend(path string) (*os.File, error) {
	if i, err := os.Lstat(path); err == nil {
		if err := suits(path, i); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|itself, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot create %s: its directory does not exist", path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the file for appending: %w", err)
	}
	// Once more, should it have been replaced meanwhile.
	i, err := f.Stat()
	if err == nil {
		err = suits(path, i)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func suits(path string, i fs.FileInfo) error {
	switch {
	case i.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link, which is not followed: name the file itself", path)
	case !i.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file: name one, or use stdout or stderr", path)
	}
	return nil
}

// endsInNewline says whether the last line of f is whole. It is false also where
// that cannot be found out: an empty line harms nobody.
func endsInNewline(path string, f fs.FileInfo) bool {
	r, err := os.OpenFile(path, os.O_RDONLY|itself, 0)
	if err != nil {
		return false
	}
	defer r.Close()
	if i, err := r.Stat(); err != nil || !os.SameFile(i, f) {
		return false
	}
	var last [1]byte
	_, err = r.ReadAt(last[:], f.Size()-1)
	return (err == nil || errors.Is(err, io.EOF)) && last[0] == '\n'
}

// warnOfOthers says who can take the file away, or write lines of his own. That
// may be meant, as with a volume that containers share, or be the log
// directory's own way.
func warnOfOthers(path string, f *os.File, log *slog.Logger) {
	dir := filepath.Dir(path)
	if who, err := place.Others(dir); err == nil && who != "" {
		log.Warn("others can remove or replace the audit file", "directory", dir, "writable_by", who)
	}
	if i, err := f.Stat(); err == nil {
		if who := writers(i); who != "" {
			log.Warn("others can change what is in the audit file", "file", path, "writable_by", who)
		}
	}
}
