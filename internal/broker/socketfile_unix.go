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
	if err := f.own(Socket{Mode: old.Mode & s.Mode, UID: -1, GID: -1}); err != nil {
		return nil, err
	}
	undo = func() { _ = f.own(old) }
	if err := f.own(s); err != nil {
		undo()
		return nil, err
	}
	return undo, nil
}

// own sets owner, then mode: a wider mode must not be there for the old owner.
// Whoever may write to the directory, the new owner often, could put a link to
// another file in the socket's place: it is not followed.
func (f *socketFile) own(s Socket) error {
	return f.open(func(h handle) error {
		if s.UID >= 0 || s.GID >= 0 {
			if err := h.chown(s.UID, s.GID); err != nil {
				return fmt.Errorf("giving the socket to user %d and group %d (-1 is unchanged): %w", s.UID, s.GID, err)
			}
		}
		if err := h.chmod(uint32(s.Mode.Perm())); err != nil {
			return fmt.Errorf("setting the socket's mode: %w", err)
		}
		return nil
	})
}

var errReplaced = errors.New("the socket was replaced by something else: only the broker's user may write to its directory")
