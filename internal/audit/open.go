package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Options belong to a sink.
type Options struct {
	// Required makes Require wait for the line to be written.
	Required bool
	// Log hears of events that could not be written, at most every ten
	// seconds.
	Log *slog.Logger
}

// Open makes the sink that spec (audit.to in the configuration) names:
// file:///absolute/path, appended to and created with mode 0600, or stdout, or
// stderr. A file that was moved away, as log rotation does, is opened anew.
func Open(spec string, o Options) (Sink, error) {
	switch spec {
	case "stdout":
		return newWriter(nopCloser{os.Stdout}, o), nil
	case "stderr":
		return newWriter(nopCloser{os.Stderr}, o), nil
	}
	u, err := url.Parse(spec)
	if err != nil || u.Scheme != "file" || u.Host != "" || !filepath.IsAbs(filepath.FromSlash(u.Path)) {
		return nil, fmt.Errorf("audit: cannot write to %q: use file:///absolute/path, stdout or stderr", spec)
	}
	f, err := openFile(filepath.FromSlash(u.Path))
	if err != nil {
		return nil, err
	}
	return newWriter(f, o), nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// file is an append-only file that follows its name.
type file struct {
	path    string
	f       *os.File
	checked time.Time
}

func openFile(path string) (*file, error) {
	f, err := openAppend(path)
	if err != nil {
		return nil, err
	}
	return &file{path: path, f: f, checked: time.Now()}, nil
}

func openAppend(path string) (*os.File, error) {
	// Opening a FIFO without a reader would block for ever.
	if i, err := os.Stat(path); err == nil && !i.Mode().IsRegular() {
		return nil, fmt.Errorf("audit: %s is not a regular file: name one, or use stdout or stderr", path)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("audit: cannot create %s: its directory does not exist", path)
	}
	if err != nil {
		return nil, fmt.Errorf("audit: cannot open the file for appending: %w", err)
	}
	return f, nil
}

func (f *file) Write(b []byte) (int, error) {
	if err := f.follow(); err != nil {
		return 0, err
	}
	return f.f.Write(b)
}

// follow looks once a second whether the name still means the open file.
func (f *file) follow() error {
	if time.Since(f.checked) < time.Second {
		return nil
	}
	f.checked = time.Now()
	named, err := os.Stat(f.path)
	open, err2 := f.f.Stat()
	if err == nil && err2 == nil && os.SameFile(named, open) {
		return nil
	}
	next, err := openAppend(f.path)
	if err != nil {
		f.checked = time.Time{} // until this works, every line is an error
		return err
	}
	_ = f.f.Close()
	f.f = next
	return nil
}

func (f *file) Close() error { return f.f.Close() }
