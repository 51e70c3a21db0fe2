//go:build unix && !linux

package sockio

import "golang.org/x/sys/unix"

// Looks says whether this platform lets one see if something has come on a
// socket without taking it.
const Looks = true

// QuietFD says whether the socket is open and nothing has come on it.
func QuietFD(fd uintptr) bool {
	var b [1]byte
	_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == unix.EAGAIN
}
