package relay

import (
	"golang.org/x/sys/unix"
)

const (
	maxSpareBuffers = 16
	maxSparePipes   = 8
	// spareTicks is how long a pipe is kept without being used.
	spareTicks = 2
	// pipeSize is asked for each pipe; a kernel that allows a user no more
	// memory in pipes gives less.
	pipeSize = 1 << 20
)

// buffers is a loop's store of free buffers, the last used first, since that
// one is still in the cache.
type buffers struct{ free []*buffer }

func (b *buffers) get() *buffer {
	n := len(b.free)
	if n == 0 {
		return new(buffer)
	}
	buf := b.free[n-1]
	b.free = b.free[:n-1]
	return buf
}

func (b *buffers) put(buf *buffer) {
	if len(b.free) < maxSpareBuffers {
		b.free = append(b.free, buf)
	}
}

// pipe carries spliced bytes; n of them are in it.
type pipe struct {
	r, w int32
	n    int
	age  int
}

func (p *pipe) close() {
	unix.Close(int(p.r))
	unix.Close(int(p.w))
}

// pipes is a loop's store of empty pipes. Few are held, and not for long: a
// pipe is two descriptors and up to pipeSize of kernel memory.
type pipes struct{ free []*pipe }

// get returns nil if the system has no pipe to give.
func (ps *pipes) get() *pipe {
	if n := len(ps.free); n > 0 {
		p := ps.free[n-1]
		ps.free = ps.free[:n-1]
		p.age = 0
		return p
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil
	}
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize)
	return &pipe{r: int32(fds[0]), w: int32(fds[1])}
}

// put takes a pipe back. One with bytes left in it would give them to another
// pair: it is closed.
func (ps *pipes) put(p *pipe) {
	if p.n > 0 || len(ps.free) >= maxSparePipes {
		p.close()
		return
	}
	ps.free = append(ps.free, p)
}

func (ps *pipes) held() int { return len(ps.free) }

// age closes the pipes that have not been used for a while.
func (ps *pipes) age() {
	kept := ps.free[:0]
	for _, p := range ps.free {
		if p.age++; p.age > spareTicks {
			p.close()
		} else {
			kept = append(kept, p)
		}
	}
	clear(ps.free[len(kept):])
	ps.free = kept
}

func (ps *pipes) closeAll() {
	for _, p := range ps.free {
		p.close()
	}
	ps.free = nil
}
