//go:build unix

package assemble

import (
	"io/fs"
	"os"
	"syscall"
)

// isMine says whether the directory belongs to the user of this process.
func isMine(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}
