package peer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of one walk over /proc, which any local user can make long.
const (
	maxScanTime    = 5 * time.Second
	maxDescriptors = 1 << 20
	// maxHolders is for one socket: a server's forked workers, with room.
	maxHolders = 128
)

// scanner finds the processes that hold sockets. Connections that ask while a
// walk is under way share the next one, so that a flood of them costs one
// walk at a time and no more.
type scanner struct {
	walking sync.Mutex // held by the one walk under way
	mu      sync.Mutex
	next    *walk // the walk to come, open to join; guarded by mu
}

// holders are the processes found to hold one socket.
type holders struct {
	processes []*process
	tooMany   bool
	unseen    []unseen // processes that could not be inspected at all
}

// unseen is a process whose descriptors the broker may not read.
type unseen struct {
	pid        int
	users      []uint32
	privileged bool // has capabilities that the broker lacks
}

// mayHold reports whether u counts as one that may hold a socket of uid's next
// to the processes seen to hold it. A process of another user does not: it
// must have been given the socket by one that was judged. Nor does one with
// more privileges than the broker's own, such as the init of a container: it
// can do as it likes with an allowed process anyway.
func (u unseen) mayHold(uid uint32) bool {
	return !u.privileged && slices.Contains(u.users, uid)
}

func (h holders) close() {
	for _, p := range h.processes {
		p.close()
	}
}

// find returns the holders of the socket, which the caller closes. The walk
// begins after the call of find.
func (s *scanner) find(inode uint64) (holders, error) {
	w, lead := s.join(inode)
	if lead {
		s.walking.Lock()
		s.mu.Lock()
		if s.next == w {
			s.next = nil // nobody joins a walk that has begun
		}
		s.mu.Unlock()
		w.run()
		s.walking.Unlock()
		close(w.done)
	}
	<-w.done
	return w.take(inode)
}

// join enters inode into the walk to come; the one who created it leads it.
func (s *scanner) join(inode uint64) (w *walk, lead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil && s.next.wanted[inode] != nil {
		// Two checks of one connection: each owns what it is given, so this
		// one walks for itself.
		return newWalk(inode), true
	}
	if s.next == nil {
		s.next, lead = newWalk(inode), true
	}
	s.next.wanted[inode] = &holders{}
	return s.next, lead
}

func newWalk(inode uint64) *walk {
	return &walk{wanted: map[uint64]*holders{inode: {}}, done: make(chan struct{})}
}

// walk is one pass over /proc for all the sockets wanted.
type walk struct {
	wanted   map[uint64]*holders
	deadline time.Time
	seen     int
	unseen   []unseen
	own      uint64 // the broker's own capabilities
	err      error
	done     chan struct{} // closed when the pass has ended
}

func (w *walk) run() {
	w.deadline = time.Now().Add(maxScanTime)
	if w.err = w.pass(); w.err != nil {
		for _, h := range w.wanted {
			h.close()
		}
	}
}

func (w *walk) pass() error {
	self, err := openProcess(os.Getpid())
	if err != nil {
		return err
	}
	defer self.close()
	st, err := self.status()
	if err != nil {
		return err
	}
	w.own = st.effective
	return eachName("/proc", func(name string) error {
		pid, err := strconv.Atoi(name)
		if err != nil {
			return nil // not a process
		}
		return w.visit(pid)
	})
}

func (w *walk) take(inode uint64) (holders, error) {
	if w.err != nil {
		return holders{}, w.err
	}
	h := *w.wanted[inode]
	h.unseen = w.unseen
	return h, nil
}

// visit looks at one process. One that has ended meanwhile holds nothing; an
// error ends the walk.
func (w *walk) visit(pid int) error {
	p, err := openProcess(pid)
	if err != nil {
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
			return nil
		}
		return err
	}
	kept, err := w.search(p)
	if !kept {
		defer p.close()
	}
	switch {
	case denied(err):
		w.skip(p)
		return nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		return nil
	}
	return err
}

// skip notes a process that may not be read. A zombie may not, either, and
// holds nothing.
func (w *walk) skip(p *process) {
	st, err := p.status()
	if err == nil && !st.zombie {
		w.unseen = append(w.unseen, unseen{p.pid, st.uids, st.permitted&^w.own != 0})
	}
}

// search goes through the descriptors of p. kept says that p was handed to a
// socket's holders, which own it now.
func (w *walk) search(p *process) (kept bool, err error) {
	dir, err := p.open("fd")
	if err != nil {
		return false, err
	}
	defer dir.Close()
	var buf [64]byte
	err = eachEntry(dir, func(name string) error {
		if err := w.spend(); err != nil {
			return err
		}
		n, err := unix.Readlinkat(int(dir.Fd()), name, buf[:])
		if errors.Is(err, unix.ENOENT) {
			return nil // closed since it was listed
		}
		if err != nil {
			return err
		}
		inode, ok := socketInode(buf[:n])
		if h := w.wanted[inode]; ok && h != nil {
			kept, err = h.add(p, name, kept)
		}
		return err
	})
	return kept, err
}

// add makes p a holder through the descriptor called name. Where p already
// belongs to another socket's holders it is opened a second time.
func (h *holders) add(p *process, name string, taken bool) (kept bool, err error) {
	if n := len(h.processes); n > 0 && h.processes[n-1].pid == p.pid {
		return taken, nil // a duplicate of a descriptor already found
	}
	if len(h.processes) == maxHolders {
		h.tooMany = true
		return taken, nil
	}
	if taken {
		dir, err := unix.FcntlInt(uintptr(p.dir), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return taken, err
		}
		p = &process{pid: p.pid, dir: dir}
	}
	p.fd = name
	h.processes = append(h.processes, p)
	return true, nil
}

// spend counts one descriptor against the walk's bounds.
func (w *walk) spend() error {
	w.seen++
	if w.seen > maxDescriptors {
		return fmt.Errorf("the processes of this machine have more than %d descriptors", maxDescriptors)
	}
	if w.seen%256 == 0 && time.Now().After(w.deadline) {
		return fmt.Errorf("looking through %d descriptors of all processes took longer than %v", w.seen, maxScanTime)
	}
	return nil
}

// socketInode reads the target of a descriptor's link, "socket:[4711]".
func socketInode(link []byte) (uint64, bool) {
	digits, ok := bytes.CutPrefix(link, []byte("socket:["))
	if !ok {
		return 0, false
	}
	digits, ok = bytes.CutSuffix(digits, []byte("]"))
	if !ok {
		return 0, false
	}
	inode, err := strconv.ParseUint(string(digits), 10, 32)
	return inode, err == nil
}

func eachName(path string, f func(name string) error) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return eachEntry(dir, f)
}

// eachEntry calls f for the entries of dir, however many, a few at a time.
func eachEntry(dir *os.File, f func(name string) error) error {
	for {
		names, err := dir.Readdirnames(512)
		for _, name := range names {
			if err := f(name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
