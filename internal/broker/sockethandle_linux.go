package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// handle is a descriptor of the socket's file, opened by its path only (it
// cannot be read or connected through): it stays that file, whatever happens
// to the path.
type handle int

// open calls use with a handle of the file that was made.
func (f *socketFile) open(use func(handle) error) error {
	fd, err := unix.Open(f.path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("looking at the socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	var now unix.Stat_t
	if err := unix.Fstat(fd, &now); err != nil {
		return fmt.Errorf("looking at the socket: %w", err)
	}
	made, ok := f.made.Sys().(*syscall.Stat_t)
	if !ok || now.Dev != made.Dev || now.Ino != made.Ino {
		return errReplaced
	}
	return use(handle(fd))
}

func (h handle) chown(uid, gid int) error {
	return unix.Fchownat(int(h), "", uid, gid, unix.AT_EMPTY_PATH)
}

// chmod goes through /proc: kernels before 6.6 cannot change the mode of such
// a descriptor. Those since then are asked where there is no /proc.
func (h handle) chmod(mode uint32) error {
	err := os.Chmod(fmt.Sprintf("/proc/self/fd/%d", int(h)), fs.FileMode(mode))
	if errors.Is(err, fs.ErrNotExist) {
		return unix.Fchmodat(int(h), "", mode, unix.AT_EMPTY_PATH)
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err // the path would only confuse
	}
	return err
}
