package relay

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below never block, so they go to the kernel without telling the
// scheduler: entering and leaving a scheduled system call costs more than a
// small message does. MSG_DONTWAIT makes sure of it even if someone shares
// the socket and sets it blocking; MSG_NOSIGNAL keeps SIGPIPE out of the
// process.

func recv(fd int32, b []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

func send(fd int32, b []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// splice moves up to n bytes from one descriptor to another; both must be
// non-blocking, since not every kernel heeds SPLICE_F_NONBLOCK on a socket.
func splice(from, to int32, n int) (int, syscall.Errno) {
	m, _, errno := unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0,
		uintptr(n), unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
	return int(m), errno
}

// poll collects events that are ready now, without waiting.
func poll(epfd int, events []unix.EpollEvent) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	return int(n), errno
}

// wait collects events and sleeps until there are some. It is the loop's one
// scheduled call: it gives the processor back to other goroutines.
func wait(epfd int, events []unix.EpollEvent) (int, syscall.Errno) {
	const forever = ^uintptr(0)
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), forever, 0, 0)
	return int(n), errno
}

// socketError takes the error that is pending on a socket, zero if none.
func socketError(fd int32) syscall.Errno {
	n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return 0
	}
	return syscall.Errno(n)
}

// duplicate returns a non-blocking, close-on-exec duplicate of a connection's
// descriptor, which Go's poller does not know about.
func duplicate(c syscall.Conn) (int32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, dupErr := -1, error(nil)
	err = raw.Control(func(orig uintptr) {
		fd, dupErr = unix.FcntlInt(orig, unix.F_DUPFD_CLOEXEC, 3)
	})
	if err == nil {
		err = dupErr
	}
	if err != nil {
		return -1, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return int32(fd), nil
}

// yield lets whoever else is ready to run go first. Where nobody is, it costs
// as much as any call that does nothing.
func yield() { unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
