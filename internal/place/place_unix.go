//go:build unix

package place

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// Others says who beside root and the broker's user may replace what the
// broker's user has made in dir: "user 1000", "group 100" or "everybody", with
// dir's mode; empty for nobody. The group that is this process's own is the
// broker's: many systems give each user one, and let it write by default.
func Others(dir string) (who string, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", nil
	}
	return others(info.Mode(), st.Uid, st.Gid, uint32(os.Geteuid()), uint32(os.Getegid())), nil
}

func others(mode fs.FileMode, uid, gid, ownUID, ownGID uint32) string {
	shared := mode&fs.ModeSticky == 0 // nobody removes what is another's otherwise
	switch {
	case uid != 0 && uid != ownUID:
		return fmt.Sprintf("user %d, whose it is", uid)
	case shared && mode&0o002 != 0:
		return fmt.Sprintf("everybody (mode %04o)", mode.Perm())
	case shared && mode&0o020 != 0 && gid != 0 && gid != ownGID:
		return fmt.Sprintf("group %d (mode %04o)", gid, mode.Perm())
	}
	return ""
}
