//go:build unix && !linux

package broker

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// maxSocketPath is the room in sockaddr_un, less the closing zero, and less
// what the private directory's name adds while the socket is made.
const maxSocketPath = 103 - len("/.s0123456789")

// bindUnix binds in a directory that only we can enter, sets the mode there
// and moves the socket to path.
func bindUnix(ctx context.Context, path string, mode os.FileMode) (*net.UnixListener, error) {
	dir, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, fmt.Errorf("making a private directory for the new socket: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	private := filepath.Join(dir, filepath.Base(path))
	ln, err := (&net.ListenConfig{}).Listen(ctx, "unix", private)
	if err != nil {
		return nil, err
	}
	unixLn := ln.(*net.UnixListener)
	unixLn.SetUnlinkOnClose(false)
	if err = os.Chmod(private, mode); err == nil {
		err = os.Rename(private, path)
	}
	if err != nil {
		_ = ln.Close()
		return nil, err
	}
	return unixLn, nil
}
