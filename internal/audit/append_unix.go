//go:build !windows

package audit

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// itself has open(2) follow no link and wait for nobody at the other end of a
// FIFO.
const itself = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// writers are those beside root and this user who may write to a file, its
// group excepted: whoever gave it one has meant it.
func writers(i fs.FileInfo) string {
	st, ok := i.Sys().(*syscall.Stat_t)
	switch {
	case ok && st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Sprintf("user %d, whose it is", st.Uid)
	case i.Mode()&0o002 != 0:
		return fmt.Sprintf("everybody (mode %04o)", i.Mode().Perm())
	}
	return ""
}
