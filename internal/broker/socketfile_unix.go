//go:build unix

package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

func isSocket(i fs.FileInfo) bool { return i.Mode().Type() == fs.ModeSocket }

// change gives a carried-over socket a new owner and mode; undo restores them.
func (f *socketFile) change(s Socket) (undo func(), err error) {
	now, err := os.Lstat(f.path)
	if err != nil {
		return nil, fmt.Errorf("looking at the socket: %w", err)
	}
	old := Socket{Mode: now.Mode().Perm(), UID: -1, GID: -1}
	if st, ok := now.Sys().(*syscall.Stat_t); ok {
		old.UID, old.GID = int(st.Uid), int(st.Gid)
	}
	if old.Mode == s.Mode.Perm() && (s.UID < 0 || s.UID == old.UID) && (s.GID < 0 || s.GID == old.GID) {
		return func() {}, nil
	}
	// Narrow it first: between the change of owner and that of mode, the new
	// owner must not have what the old mode gave.
	if err := os.Chmod(f.path, old.Mode&s.Mode.Perm()); err != nil {
		return nil, fmt.Errorf("setting the socket's mode: %w", err)
	}
	undo = func() { _ = f.own(old) }
	if err := f.own(s); err != nil {
		undo()
		return nil, err
	}
	return undo, nil
}
