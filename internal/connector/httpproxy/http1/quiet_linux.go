package http1

import (
	"syscall"
	"unsafe"
)

// Keeps says whether connections to targets can be kept on this platform: one
// must be able to look whether something has come on them.
const Keeps = true

// isQuiet looks without taking anything. It never blocks, so that the scheduler
// need not know of it.
func isQuiet(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1,
		syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	return err == syscall.EAGAIN
}
