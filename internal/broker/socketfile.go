package broker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// socketFile is a unix socket's name in the file system.
type socketFile struct {
	path string
	made fs.FileInfo // its identity, so that a successor's is not removed
}

// listenUnix makes a unix socket at path with the owner and mode that s says,
// never with a wider mode in between.
func listenUnix(ctx context.Context, path string, s Socket) (net.Listener, *socketFile, error) {
	if len(path) > maxSocketPath {
		return nil, nil, fmt.Errorf("the path has %d bytes, a unix socket's can have %d: choose a shorter one", len(path), maxSocketPath)
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, nil, fmt.Errorf("the socket's directory: %w: create it first", err)
	}
	if err := clearStale(ctx, path); err != nil {
		return nil, nil, err
	}
	ln, err := bindUnix(ctx, path, s.Mode.Perm()&0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("creating the socket: %w", err)
	}
	ln.SetUnlinkOnClose(false)
	made, err := os.Lstat(path)
	if err != nil {
		_ = ln.Close()
		return nil, nil, fmt.Errorf("looking at the new socket: %w", err)
	}
	file := &socketFile{path, made}
	if !isSocket(made) {
		_ = ln.Close()
		return nil, nil, errors.New("the new socket was replaced by something else: only the broker's user may write to its directory")
	}
	if err := file.own(s); err != nil {
		_ = file.remove()
		_ = ln.Close()
		return nil, nil, err
	}
	return ln, file, nil
}

// clearStale removes a socket that nobody listens on; anything else at path is
// left alone.
func clearStale(ctx context.Context, path string) error {
	found, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the path: %w", err)
	}
	if !isSocket(found) {
		return fmt.Errorf("%s exists and is not a socket: move it away or choose another path", path)
	}
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = c.Close()
		fallthrough
	case errors.Is(err, syscall.EAGAIN): // its backlog is full
		return fmt.Errorf("another program listens on %s: stop it or choose another path", path)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case !refused(err):
		return fmt.Errorf("cannot tell whether the socket that exists is in use: %w: remove it if it is not", err)
	}
	// Somebody may have replaced it since, by a socket that is in use.
	if err := (&socketFile{path, found}).remove(); err != nil {
		return fmt.Errorf("removing the stale socket: %w", err)
	}
	return nil
}

// ours reports whether path still is the file that was made.
func (f *socketFile) ours() bool {
	now, err := os.Lstat(f.path)
	return err == nil && os.SameFile(now, f.made)
}

// remove removes the file if it is still ours.
func (f *socketFile) remove() error {
	if !f.ours() {
		return nil
	}
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
