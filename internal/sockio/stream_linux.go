package sockio

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stream reads and writes a socket without telling the scheduler about each
// system call, none of which blocks. A call that the scheduler knows of lets it
// take the processor away in the middle, and give it to another thread: with
// few processors and many small messages, that and looking for such calls costs
// more than the messages.
type stream struct {
	conn    net.Conn
	raw     syscall.RawConn
	in, out half
}

// half is one direction, whose calls come one after another. try is made once:
// a function for each call would be garbage.
type half struct {
	mu    sync.Mutex
	b     []byte
	n     int
	errno syscall.Errno
	try   func(fd uintptr) bool
}

// Of returns what reads and writes c. It keeps to c's deadlines, and ends with
// it; c's own methods can be used beside it. Where c is no socket of the
// system's, it is c itself.
func Of(c net.Conn) io.ReadWriter {
	switch c := c.(type) {
	case *net.TCPConn, *net.UnixConn:
	case *conn:
		return c.stream
	default:
		return c
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return c
	}
	s := &stream{conn: c, raw: raw}
	s.in.try, s.out.try = s.receive, s.send
	return s
}

// Read reads what there is, or waits for it.
func (s *stream) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := s.move("read", &s.in, b, s.raw.Read)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// Write writes all of b, or fails.
func (s *stream) Write(b []byte) (int, error) {
	return s.move("write", &s.out, b, s.raw.Write)
}

// move has b read or written by h, by a method of the socket that waits for as
// long as try is false. How much was moved counts beside an error, too.
func (s *stream) move(op string, h *half, b []byte, until func(try func(fd uintptr) bool) error) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.b, h.n, h.errno = b, 0, 0
	err := until(h.try)
	h.b = nil
	if err == nil && h.errno != 0 {
		err = s.failure(op, h.errno)
	}
	return h.n, named(op, err)
}

func (s *stream) failure(op string, errno syscall.Errno) error {
	local := s.conn.LocalAddr()
	return &net.OpError{Op: op, Net: local.Network(), Source: local, Addr: s.conn.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
}

// named calls what was being done by the name that package net has for it.
func named(op string, err error) error {
	if e, ok := err.(*net.OpError); ok { //nolint:errorlint // made for this call, never wrapped
		e.Op = op
	}
	return err
}

// receive is false while there is nothing.
func (s *stream) receive(fd uintptr) bool {
	h := &s.in
	for {
		n, errno := call(unix.SYS_RECVFROM, fd, h.b, unix.MSG_DONTWAIT)
		switch errno {
		case 0:
			received(fd, h.b[:n])
			h.n = n
			return true
		case unix.EAGAIN:
			return false
		case unix.EINTR:
		default:
			h.errno = errno
			return true
		}
	}
}

// send is false while the socket takes nothing more.
func (s *stream) send(fd uintptr) bool {
	h := &s.out
	sending(fd, h.b[h.n:])
	for h.n < len(h.b) {
		n, errno := call(unix.SYS_SENDTO, fd, h.b[h.n:], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch errno {
		case 0:
			h.n += n
		case unix.EAGAIN:
			return false
		case unix.EINTR:
		default:
			h.errno = errno
			return true
		}
	}
	return true
}

func call(number, fd uintptr, b []byte, flags uintptr) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall6(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags, 0, 0)
	return int(n), errno
}
