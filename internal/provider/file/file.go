// Package file is the provider that reads regular files, by path (file) or by
// the name of a credential that systemd passed (systemd).
package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"secretless/internal/provider"
	"secretless/internal/secret"
)

// maxSize bounds a file; it is the Resolver's bound on a value.
const maxSize = 1 << 20

// attempts bounds reads of files that are replaced while they are read.
const attempts = 5

// Reasons for refusing a path.
var (
	ErrNotRegular = errors.New("not a regular file; a directory, device, socket or named pipe cannot hold a secret")
	ErrTooLarge   = errors.New("file is larger than 1 MiB; does the path point to the right one?")
	ErrChanging   = errors.New("file keeps changing while it is read")
)

// Config is an instance's own settings.
type Config struct {
	// Trim drops one newline (LF or CRLF) from the end of a file.
	Trim bool `yaml:"trim"`
}

// Definition is the provider's entry in the table.
func Definition() provider.Definition {
	return provider.Define(provider.Definition{
		Summary: "regular files, byte for byte",
		Ref:     "the file's path; a relative one starts at the broker's working directory",
		CheckRef: func(path string) error {
			if path == "" {
				return errors.New("path of the file is empty")
			}
			return nil
		},
	}, func(c Config, s provider.Setup) (provider.Provider, error) {
		return files{instance: s.Name, trim: c.Trim}, nil
	})
}

// files is an instance of both providers of this package. inDir is empty for
// file, whose ids are paths, and the directory of the ids for systemd.
type files struct {
	instance string
	trim     bool
	inDir    string
}

// path is the file of an id.
func (f files) path(ref string) string {
	if f.inDir == "" {
		return ref
	}
	return filepath.Join(f.inDir, ref)
}

// Fetch reads every file. Files that are swapped together, as Kubernetes does
// with the keys of a mounted secret, are read in one version: when one of them
// has changed by the time the last was read, all are read again.
func (f files) Fetch(ctx context.Context, paths []string) (map[string]provider.Lease, error) {
	for range attempts {
		out, changed, err := f.readAll(ctx, paths)
		if err != nil {
			return nil, err
		}
		if changed == "" {
			return out, nil
		}
		wipe(out)
	}
	return nil, &provider.Error{Provider: f.instance, Err: ErrChanging, Transient: true}
}

// readAll also returns a path whose file was replaced or rewritten meanwhile.
func (f files) readAll(ctx context.Context, paths []string) (out map[string]provider.Lease, changed string, err error) {
	out = make(map[string]provider.Lease, len(paths))
	seen := make(map[string]fs.FileInfo, len(paths))
	defer func() {
		if err != nil {
			wipe(out)
			out = nil
		}
	}()
	for _, path := range paths {
		if err := ctx.Err(); err != nil {
			return out, "", err
		}
		b, info, err := read(f.path(path))
		if err != nil {
			return out, "", f.fail(path, err)
		}
		if f.trim {
			b = trimNewline(b)
		}
		out[path], seen[path] = provider.Lease{Value: secret.New(b)}, info
	}
	for path, before := range seen {
		if !same(f.path(path), before) {
			return out, path, nil
		}
	}
	return out, "", nil
}

func (f files) fail(path string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok { // it repeats the path
		err = e.Err
	}
	if advice := f.advice(path, err); advice != "" {
		err = fmt.Errorf("%w; %s", err, advice)
	}
	return &provider.Error{Provider: f.instance, Ref: path, Err: err}
}

// advice is what the system's own words leave out.
func (f files) advice(path string, err error) string {
	switch missing := errors.Is(err, fs.ErrNotExist); {
	case errors.Is(err, fs.ErrPermission):
		return "let the broker's user read it, and pass the directories above it"
	case missing && f.inDir != "":
		return "the unit passes no credential of this name"
	case missing && !filepath.IsAbs(path):
		return "the path is relative, and starts at the broker's working directory"
	case missing:
		return "correct the path"
	}
	return ""
}

func wipe(out map[string]provider.Lease) {
	for _, l := range out {
		l.Value.Wipe()
	}
}
