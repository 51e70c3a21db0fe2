//go:build race

package sockio

import (
	"runtime"
	"syscall"
	"unsafe"
)

// The race detector learns from package syscall that what was done before
// bytes were sent was done before they are received. Calls that move nothing
// tell it of those that go past that package; and what the system has read or
// written of memory it is told here, as package syscall does.

func sending(fd uintptr, b []byte) {
	_, _ = syscall.Write(int(fd), nil)
	runtime.RaceReadRange(unsafe.Pointer(unsafe.SliceData(b)), len(b))
}

func received(fd uintptr, b []byte) {
	_, _ = syscall.Read(int(fd), nil)
	runtime.RaceWriteRange(unsafe.Pointer(unsafe.SliceData(b)), len(b))
}
