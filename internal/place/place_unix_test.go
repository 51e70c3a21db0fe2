//go:build unix

package place

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOthers(t *testing.T) {
	const me, mine = 997, 996
	for _, c := range []struct {
		mode     fs.FileMode
		uid, gid uint32
		want     string
	}{
		{0o700, me, mine, ""},
		{0o755, 0, 0, ""},
		{0o775, 0, 0, ""},
		{0o775, me, mine, ""}, // umask 002
		{0o770, me, 100, "group 100 (mode 0770)"},
		{0o775, 0, 110, "group 110 (mode 0775)"}, // /var/log of some
		{0o755, 0, 110, ""},
		{0o777, 0, 0, "everybody (mode 0777)"},
		{0o703, me, mine, "everybody (mode 0703)"},
		{0o777 | fs.ModeSticky, 0, 0, ""}, // /tmp
		{0o770 | fs.ModeSticky, 0, 110, ""},
		{0o700, 1000, mine, "user 1000, whose it is"},
		{0o777 | fs.ModeSticky, 1000, mine, "user 1000, whose it is"},
	} {
		if got := others(c.mode, c.uid, c.gid, me, mine); got != c.want {
			t.Errorf("%v of %d:%d: %q, want %q", c.mode, c.uid, c.gid, got, c.want)
		}
	}
}

func TestOthersOfADirectory(t *testing.T) {
	dir := t.TempDir()
	for mode, want := range map[os.FileMode]string{0o700: "", 0o777: "everybody (mode 0777)", 0o777 | os.ModeSticky: ""} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if got, err := Others(dir); got != want || err != nil {
			t.Errorf("%v: %q, %v", mode, got, err)
		}
	}
	if _, err := Others(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("no directory: %v", err)
	}
}
