//go:build unix && !linux

package broker

import (
	"os"

	"golang.org/x/sys/unix"
)

// handle is the socket's path, which was the right file a moment ago. There is
// no descriptor of a socket's file here, so that only links are not followed.
type handle string

// open calls use with a handle of the file that was made.
func (f *socketFile) open(use func(handle) error) error {
	if !f.ours() {
		return errReplaced
	}
	return use(handle(f.path))
}

func (h handle) chown(uid, gid int) error { return os.Lchown(string(h), uid, gid) }

func (h handle) chmod(mode uint32) error {
	return unix.Fchmodat(unix.AT_FDCWD, string(h), mode, unix.AT_SYMLINK_NOFOLLOW)
}
