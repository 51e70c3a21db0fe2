package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// file is an append-only file that follows its name, and gives its name to a
// new one when it has grown large.
type file struct {
	stream
	path    string
	f       *os.File
	size    int64
	checked time.Time

	maxSize int64 // zero: for ever
	keep    int   // of those that were full
	fsync   bool
	log     *slog.Logger
	logged  time.Time
}

func openFile(path string, o Options) (*file, error) {
	f := &file{path: path, maxSize: o.MaxSize, keep: o.Keep, fsync: o.Fsync, log: o.Log}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	next, err := openAppend(path)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	warnOfOthers(path, next, f.log)
	f.use(next)
	return f, nil
}

// use goes on with next. A broker that was killed, or a machine that lost its
// power, may have left half a line in it.
func (f *file) use(next *os.File) {
	f.f, f.to, f.checked, f.size, f.torn = next, next, time.Now(), 0, false
	if i, err := next.Stat(); err == nil && i.Size() > 0 {
		f.size = i.Size()
		f.torn = !endsInNewline(f.path, i)
	}
}

func (f *file) write(lines []entry) (int, error) {
	if err := f.follow(); err != nil {
		return 0, err
	}
	var more int64
	for _, e := range lines {
		more += int64(len(e.line))
	}
	if f.maxSize > 0 && f.size > 0 && f.size+more > f.maxSize {
		if err := f.rotate(); err != nil {
			f.complain(err)
		}
		if f.f == nil {
			return 0, errors.New("the file could not be opened again after it was rotated")
		}
	}
	n, err := f.stream.write(lines)
	f.size += more
	if err == nil && f.fsync {
		if err = f.f.Sync(); err != nil {
			return n, fmt.Errorf("the disk does not confirm what was written: %w", err)
		}
	}
	return n, err
}

// follow looks once a second whether the name still means the open file.
func (f *file) follow() error {
	if f.f != nil && time.Since(f.checked) < time.Second {
		return nil
	}
	if f.f != nil && f.isNamed() {
		f.checked = time.Now()
		return nil
	}
	next, err := openAppend(f.path)
	if err != nil {
		f.checked = time.Time{} // until this works, every line is an error
		return err
	}
	f.closeOld()
	f.use(next)
	return nil
}

// isNamed says whether the name means the open file, and takes notice of what
// others have added to it.
func (f *file) isNamed() bool {
	named, err := os.Lstat(f.path)
	open, err2 := f.f.Stat()
	if err != nil || err2 != nil || !os.SameFile(named, open) {
		return false
	}
	f.size = open.Size()
	return true
}

func (f *file) closeOld() {
	if f.f == nil {
		return
	}
	if f.fsync {
		_ = f.f.Sync()
	}
	_ = f.f.Close()
	f.f = nil
}

// complain logs that rotation does not work. Events go on into the same file.
func (f *file) complain(err error) {
	if time.Since(f.logged) < logEvery {
		return
	}
	f.logged = time.Now()
	f.log.Error("the audit file cannot be rotated and grows on", "error", err)
}

// Close closes the file.
func (f *file) Close() error {
	f.closeOld()
	return nil
}
