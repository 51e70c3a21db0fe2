//go:build unix

package admin

import (
	"fmt"
	"os"
	"syscall"
)

// ownerText says whose socket it is, where that can be seen.
func ownerText(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf(" (the socket belongs to uid %d, this is uid %d)", st.Uid, os.Geteuid())
}
