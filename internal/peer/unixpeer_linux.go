package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxGroups is the kernel's own limit of supplementary groups (NGROUPS_MAX).
const maxGroups = 65536

var errExited = errors.New("the process that connected has exited")

// unixPeer is what the kernel recorded about the client of a unix socket when
// it called connect(2).
type unixPeer struct {
	cred *unix.Ucred
	// pidfd refers to the process even after its pid was taken by another;
	// -1 where the kernel is older than 6.5 or the process is gone.
	pidfd int
	// gone says that the kernel knows the process to have ended.
	gone bool
}

// askUnix asks the kernel about conn's client; the caller closes the result.
func askUnix(conn net.Conn) (unixPeer, error) {
	p := unixPeer{pidfd: -1}
	err := control(conn, func(fd int) (err error) {
		if p.cred, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err != nil {
			return fmt.Errorf("ask the kernel for the peer's credentials (SO_PEERCRED): %w", err)
		}
		pidfd, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
		switch {
		case err == nil:
			p.pidfd = pidfd
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ESRCH), errors.Is(err, unix.ENODATA):
			// Kernels before 6.16 have no pidfd for a process that was reaped.
			p.gone = true
		case !errors.Is(err, unix.ENOPROTOOPT):
			return fmt.Errorf("ask the kernel for the peer's process (SO_PEERPIDFD): %w", err)
		}
		return nil
	})
	return p, err
}

func (p unixPeer) close() {
	if p.pidfd >= 0 {
		unix.Close(p.pidfd)
	}
}

// process opens the process that connected. The caller closes it.
func (p unixPeer) process() (*process, error) {
	if p.gone {
		return nil, errExited
	}
	if p.cred.Pid <= 0 {
		return nil, errors.New("the process is in a pid namespace that the broker cannot see (another container, or the host)")
	}
	proc, err := openProcess(int(p.cred.Pid))
	if errors.Is(err, unix.ENOENT) {
		return nil, errExited
	}
	if err != nil {
		return nil, err
	}
	// Only now that /proc/<pid> is held open: if the client is alive at this
	// point, its pid was not free to be taken when we opened it.
	if err := p.confirm(proc); err != nil {
		proc.close()
		return nil, err
	}
	return proc, nil
}

// confirm makes sure that proc is the process that connected.
func (p unixPeer) confirm(proc *process) error {
	if p.pidfd < 0 {
		return p.confirmUser(proc)
	}
	exited := []unix.PollFd{{Fd: int32(p.pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(exited, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("poll the pidfd of the peer: %w", err)
		case n > 0:
			return errExited
		}
		return nil
	}
}

// confirmUser is the best that kernels without SO_PEERPIDFD allow.
func (p unixPeer) confirmUser(proc *process) error {
	st, err := proc.status()
	if err != nil {
		return err
	}
	if !st.hasUser(p.cred.Uid) {
		return errors.New("the process that connected has exited and its pid belongs to another user's process, or it changed its user since")
	}
	return nil
}

// peerGroups are the supplementary groups of the client at connect(2).
func peerGroups(conn net.Conn) ([]uint32, error) {
	var gids []uint32
	err := control(conn, func(fd int) (err error) {
		gids, err = readPeerGroups(fd)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask the kernel for the peer's groups (SO_PEERGROUPS): %w", err)
	}
	return gids, nil
}

func readPeerGroups(fd int) ([]uint32, error) {
	for room := 64; room <= maxGroups; room = maxGroups {
		buf := make([]byte, 4*room)
		size := uint32(len(buf))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == unix.ERANGE && room < maxGroups:
			continue
		case errno != 0:
			return nil, errno
		}
		gids := make([]uint32, 0, size/4)
		for ; size >= 4; size -= 4 {
			gids = append(gids, binary.NativeEndian.Uint32(buf[size-4:]))
		}
		return gids, nil
	}
	return nil, unix.ERANGE
}
