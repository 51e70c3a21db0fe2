package sockio

import (
	"syscall"
	"unsafe"
)

// Looks says whether this platform lets one see if something has come on a
// socket without taking it.
const Looks = true

// QuietFD says whether the socket is open and nothing has come on it. It never
// blocks, so that the scheduler need not know of it.
func QuietFD(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1,
		syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	return err == syscall.EAGAIN
}
