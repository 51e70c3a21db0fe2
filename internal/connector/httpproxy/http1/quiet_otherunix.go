//go:build unix && !linux

package http1

import "golang.org/x/sys/unix"

// Keeps says whether connections to targets can be kept on this platform: one
// must be able to look whether something has come on them.
const Keeps = true

// isQuiet looks without taking anything.
func isQuiet(fd uintptr) bool {
	var b [1]byte
	_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == unix.EAGAIN
}
