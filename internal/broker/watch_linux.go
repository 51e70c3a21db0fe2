package broker

import (
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// goneGrace is how long a handshake may go on after the client's end was
// seen. It is for clients that say everything at once, close their side and
// still mean it: a cancel request that waits for no answer, a script that
// pipes a whole conversation in.
const goneGrace = 500 * time.Millisecond

// watcher notices clients that go away during their handshake, without
// reading from them: one epoll descriptor, itself waited for by the Go
// runtime, and two system calls a handshake.
//
// A TCP client that died and one that only closed its sending side look the
// same; neither can take part in a handshake for long, so both count as gone
// after goneGrace. A unix socket tells them apart.
type watcher struct {
	file *os.File
	raw  syscall.RawConn
	done chan struct{}

	mu    sync.Mutex
	next  uint64
	gones map[uint64]*watch
}

type watch struct {
	id    uint64
	gone  func()
	conn  syscall.RawConn
	unix  bool
	timer *time.Timer
}

func newWatcher() (*watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("creating an epoll descriptor to watch clients with: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("making the epoll descriptor non-blocking: %w", err)
	}
	w := &watcher{file: os.NewFile(uintptr(fd), "handshakes"), done: make(chan struct{}), gones: map[uint64]*watch{}}
	if w.raw, err = w.file.SyscallConn(); err != nil {
		_ = w.file.Close()
		return nil, fmt.Errorf("waiting for the epoll descriptor: %w", err)
	}
	go w.run()
	return w, nil
}

func (w *watcher) close() {
	_ = w.file.Close()
	<-w.done
}

// watch calls gone, once and from another goroutine, when c's client has gone.
// The returned function ends the watch; it must be called before c is closed
// or handed on, because the watch would stay with the socket.
func (w *watcher) watch(c net.Conn, gone func()) (unwatch func()) {
	sc, ok := c.(syscall.Conn)
	if w == nil || !ok {
		return func() {}
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return func() {}
	}
	_, isUnix := c.(*net.UnixConn)
	w.mu.Lock()
	w.next++
	one := &watch{id: w.next, gone: gone, conn: raw, unix: isUnix}
	w.gones[one.id] = one
	w.mu.Unlock()
	// Without a watch, a client's end is noticed when it is written to.
	_ = w.control(unix.EPOLL_CTL_ADD, one, unix.EPOLLRDHUP)
	return func() { w.unwatch(one) }
}

func (w *watcher) unwatch(one *watch) {
	w.mu.Lock()
	delete(w.gones, one.id)
	timer := one.timer
	w.mu.Unlock()
	if timer != nil {
		timer.Stop()
	}
	_ = w.control(unix.EPOLL_CTL_DEL, one, 0)
}

// control changes what epoll watches for one. EPOLLHUP and EPOLLERR are always
// watched for.
func (w *watcher) control(op int, one *watch, events uint32) error {
	event := unix.EpollEvent{Events: events | unix.EPOLLONESHOT, Fd: int32(one.id), Pad: int32(one.id >> 32)}
	var opErr error
	err := one.conn.Control(func(fd uintptr) {
		cerr := w.raw.Control(func(epfd uintptr) { opErr = unix.EpollCtl(int(epfd), op, int(fd), &event) })
		if cerr != nil {
			opErr = cerr
		}
	})
	if err != nil {
		return err
	}
	return opErr
}

func (w *watcher) run() {
	defer close(w.done)
	events := make([]unix.EpollEvent, 64)
	for {
		n := 0
		err := w.raw.Read(func(fd uintptr) bool {
			var werr error
			n, werr = unix.EpollWait(int(fd), events, 0)
			return n > 0 || werr != nil && werr != unix.EINTR
		})
		if err != nil {
			return // closed
		}
		for _, e := range events[:max(n, 0)] {
			w.seen(uint64(uint32(e.Fd))|uint64(uint32(e.Pad))<<32, e.Events)
		}
	}
}

func (w *watcher) seen(id uint64, events uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.gones[id]
	if one == nil || one.timer != nil {
		return
	}
	if one.unix && events&(unix.EPOLLHUP|unix.EPOLLERR) == 0 {
		_ = w.control(unix.EPOLL_CTL_MOD, one, 0)
		return
	}
	one.timer = time.AfterFunc(goneGrace, one.gone)
}
