package audit

import (
	"io/fs"
	"os"
)

// groupOf is unknown here.
func groupOf(fs.FileInfo) int { return -1 }

// admit leaves it to the access list that next has from its directory.
func admit(next *os.File, old fs.FileInfo) error { return next.Chmod(old.Mode().Perm()) }
