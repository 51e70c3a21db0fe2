//go:build unix

package keyfile

import (
	"os"
	"syscall"
)

// owner says who owns a file, and whether that is the broker's user or root.
func owner(info os.FileInfo) (uid uint32, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return st.Uid, st.Uid == 0 || int(st.Uid) == os.Geteuid()
}
