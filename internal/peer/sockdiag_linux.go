package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Layout of sock_diag(7): struct inet_diag_req_v2 and inet_diag_msg, each
// with a struct inet_diag_sockid inside. Ports and addresses are in network
// order, the rest in the machine's.
const (
	diagRequestLen = 56
	diagIDInReq    = 8
	diagMessageLen = 72
	diagIDInMsg    = 4
	diagSrc        = 4  // of the sockid; before it the two ports
	diagDst        = 20 // of the sockid
	diagIface      = 36 // of the sockid
	diagCookie     = 40 // of the sockid
	diagUID        = 64 // of the message
	diagInode      = 68 // of the message
)

// The states of TCP in which the client's socket can still be in a program's
// hands (include/net/tcp_states.h).
const (
	tcpEstablished = 1
	tcpFinWait1    = 4
	tcpFinWait2    = 5
	tcpCloseWait   = 8
	tcpLastAck     = 9
	tcpClosing     = 11
)

// diagTimeout is in seconds. The kernel answers within the call that asks; a
// timeout means that it never will.
const diagTimeout = 2

var errClientGone = errors.New("the client has already closed its socket")

// socket is a TCP socket of this machine as the kernel describes it.
type socket struct {
	uid    uint32 // who created it
	inode  uint64
	cookie uint64 // unlike the inode, never used again
}

// findSocket looks up the one socket whose own address is local and whose
// peer is remote. It returns errClientGone when no program has it.
func findSocket(local, remote netip.AddrPort) (socket, error) {
	answer, err := askDiag(diagRequest(local, remote))
	if err != nil {
		return socket{}, fmt.Errorf("ask the kernel for the client's socket (sock_diag): %w", err)
	}
	s, err := parseDiag(answer, local, remote)
	if err != nil && !errors.Is(err, errClientGone) {
		return socket{}, fmt.Errorf("ask the kernel for the client's socket (sock_diag): %w", err)
	}
	return s, err
}

// diagRequest is a netlink message that asks for exactly one socket.
func diagRequest(local, remote netip.AddrPort) []byte {
	b := make([]byte, unix.NLMSG_HDRLEN+diagRequestLen)
	binary.NativeEndian.PutUint32(b[0:], uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(b[8:], diagSequence)
	req := b[unix.NLMSG_HDRLEN:]
	req[0], req[1] = unix.AF_INET6, unix.IPPROTO_TCP
	if local.Addr().Is4() {
		req[0] = unix.AF_INET
	}
	binary.NativeEndian.PutUint32(req[4:], ^uint32(0)) // any state; judged in the answer
	id := req[diagIDInReq:]
	binary.BigEndian.PutUint16(id[0:], local.Port())
	binary.BigEndian.PutUint16(id[2:], remote.Port())
	copy(id[diagSrc:diagDst], local.Addr().AsSlice())
	copy(id[diagDst:diagIface], remote.Addr().AsSlice())
	binary.NativeEndian.PutUint64(id[diagCookie:], ^uint64(0)) // INET_DIAG_NOCOOKIE
	return b
}

// diagSequence can be constant: a netlink socket is used for one question.
const diagSequence = 1

// askDiag sends one netlink message and returns the kernel's answer.
func askDiag(request []byte) ([]byte, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: diagTimeout}); err != nil {
		return nil, err
	}
	_, err = retry(func() (int, error) {
		return 0, unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	})
	if err != nil {
		return nil, err
	}
	answer := make([]byte, 4096)
	var from unix.Sockaddr
	n, err := retry(func() (n int, err error) {
		n, from, err = unix.Recvfrom(fd, answer, 0)
		return n, err
	})
	if err != nil {
		return nil, err
	}
	// Any process may send to a netlink socket; the kernel is port zero.
	if kernel, ok := from.(*unix.SockaddrNetlink); !ok || kernel.Pid != 0 {
		return nil, errors.New("an answer that is not the kernel's")
	}
	return answer[:n], nil
}

// parseDiag reads the answer to diagRequest(local, remote).
func parseDiag(b []byte, local, remote netip.AddrPort) (socket, error) {
	if len(b) < unix.NLMSG_HDRLEN {
		return socket{}, fmt.Errorf("answer of %d bytes is too short", len(b))
	}
	size := binary.NativeEndian.Uint32(b)
	kind := binary.NativeEndian.Uint16(b[4:])
	if size < unix.NLMSG_HDRLEN || uint64(size) > uint64(len(b)) {
		return socket{}, fmt.Errorf("answer of %d bytes says that it has %d", len(b), size)
	}
	if seq := binary.NativeEndian.Uint32(b[8:]); seq != diagSequence {
		return socket{}, fmt.Errorf("answer to question %d, not to ours", seq)
	}
	body := b[unix.NLMSG_HDRLEN:size]
	switch kind {
	case unix.NLMSG_ERROR:
		return socket{}, diagError(body)
	case unix.SOCK_DIAG_BY_FAMILY:
		return parseDiagMessage(body, local, remote)
	}
	return socket{}, fmt.Errorf("answer of unknown type %d", kind)
}

// diagError is the error of a struct nlmsgerr.
func diagError(body []byte) error {
	if len(body) < 4 {
		return errors.New("error answer is too short")
	}
	errno := -int32(binary.NativeEndian.Uint32(body))
	switch {
	case errno <= 0:
		return fmt.Errorf("error answer with code %d", errno)
	case unix.Errno(errno) == unix.ENOENT:
		return errClientGone
	}
	return unix.Errno(errno)
}

func parseDiagMessage(m []byte, local, remote netip.AddrPort) (socket, error) {
	if len(m) < diagMessageLen {
		return socket{}, fmt.Errorf("answer has %d bytes of %d", len(m), diagMessageLen)
	}
	id := m[diagIDInMsg:]
	s := socket{
		uid:    binary.NativeEndian.Uint32(m[diagUID:]),
		inode:  uint64(binary.NativeEndian.Uint32(m[diagInode:])),
		cookie: binary.NativeEndian.Uint64(id[diagCookie:]),
	}
	src, dst, err := diagEnds(m[0], id)
	if err != nil {
		return socket{}, err
	}
	// Where no connection matches, the kernel looks on for a listener on the
	// client's port. And a socket that its program has closed lingers, with
	// inode and uid zero: that must not pass for root.
	if src != local || dst != remote || !held(m[1]) || s.inode == 0 {
		return socket{}, errClientGone
	}
	return s, nil
}

// diagEnds reads the addresses of a socket. One of IPv6 that talks IPv4 is
// found under its IPv4 addresses and answers with mapped ones.
func diagEnds(family byte, id []byte) (src, dst netip.AddrPort, err error) {
	size := 16
	switch family {
	case unix.AF_INET:
		size = 4
	case unix.AF_INET6:
	default:
		return src, dst, fmt.Errorf("answer about a socket of address family %d", family)
	}
	srcAddr, _ := netip.AddrFromSlice(id[diagSrc : diagSrc+size])
	dstAddr, _ := netip.AddrFromSlice(id[diagDst : diagDst+size])
	src = netip.AddrPortFrom(srcAddr.Unmap(), binary.BigEndian.Uint16(id[0:]))
	dst = netip.AddrPortFrom(dstAddr.Unmap(), binary.BigEndian.Uint16(id[2:]))
	return src, dst, nil
}

func held(state byte) bool {
	switch state {
	case tcpEstablished, tcpFinWait1, tcpFinWait2, tcpCloseWait, tcpLastAck, tcpClosing:
		return true
	}
	return false
}
