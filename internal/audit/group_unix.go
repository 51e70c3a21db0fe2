//go:build unix

package audit

import (
	"io/fs"
	"os"
	"syscall"
)

// groupOf is whose group a file is, -1 where that cannot be told.
func groupOf(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Gid)
	}
	return -1
}

// admit lets those read next who may read old. Where its group cannot be kept,
// no other gets what that had.
func admit(next *os.File, old fs.FileInfo) error {
	mode := old.Mode().Perm()
	now, err := next.Stat()
	if err == nil && groupOf(now) != groupOf(old) {
		err = next.Chown(-1, groupOf(old))
	}
	if err != nil {
		mode &^= 0o070
	}
	return next.Chmod(mode)
}
