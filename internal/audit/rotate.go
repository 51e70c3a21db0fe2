package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
)

// rotate moves the file to its name with .1, that one to .2 and so on, and
// begins a new one. Files beyond keep are replaced. Where something fails no
// event is lost: they go into the file that is open.
func (f *file) rotate() error {
	if !f.isNamed() {
		return nil // somebody else has just done it; see follow
	}
	old, err := f.f.Stat()
	if err != nil {
		return err
	}
	if runtime.GOOS == "windows" { // where an open file cannot be moved
		f.closeOld()
	}
	moved := f.shift()
	next, err := openAppend(f.path)
	if err != nil {
		return errors.Join(moved, err)
	}
	f.closeOld()
	f.use(next)
	if moved == nil {
		// Who was let to read the one file may read the next.
		err = admit(next, old)
	}
	return errors.Join(moved, err)
}

// shift moves only as far as the first number that is free: where the file
// itself cannot be moved it is tried again with each event, and the files before
// it must not be pushed out by that.
func (f *file) shift() error {
	last := 1
	for last < f.keep && exists(f.numbered(last)) {
		last++
	}
	for n := last - 1; n >= 1; n-- {
		if err := os.Rename(f.numbered(n), f.numbered(n+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("moving it away: %w", err)
		}
	}
	if err := os.Rename(f.path, f.numbered(1)); err != nil {
		return fmt.Errorf("moving it away: %w", err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (f *file) numbered(n int) string { return f.path + "." + strconv.Itoa(n) }
