package summon

import "golang.org/x/sys/unix"

// inMemory tells whether dir is on a file system without a disk (it may still
// be swapped out).
func inMemory(dir string) bool {
	var s unix.Statfs_t
	return unix.Statfs(dir, &s) == nil && (s.Type == unix.TMPFS_MAGIC || s.Type == unix.RAMFS_MAGIC) &&
		unix.Access(dir, unix.W_OK) == nil
}
