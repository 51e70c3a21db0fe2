package relay

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// turn is how many buffers a flow may move before other pairs have theirs.
	turn = 4
	// bulkAfter is how many reads in a row must fill the buffer before bytes
	// are spliced instead of copied; bulkWhile is how many bytes a splice has
	// to find for that to go on.
	bulkAfter = 8
	bulkWhile = 32 << 10
	// A destination that is full more often than every fifth time is slower
	// than the relay, and slower still with spliced pages than with copied
	// ones. Then the flow is copied for so many full buffers.
	strainFull  = 4
	strainLimit = 40
	bulkRetry   = 4096
	// streamAfter is how many reads in a row, of streamPiece bytes at least and
	// less than a buffer, make a stream of what comes faster than it is taken
	// and slower than a buffer fills.
	streamAfter = 16
	streamPiece = 4 << 10
)

// flow is one direction of a pair.
type flow struct {
	rest  []byte  // in hand: received, not yet sent
	buf   *buffer // what rest lies in; nil if it was read ahead
	pipe  *pipe   // in hand too, while set
	moved int64   // bytes delivered
	full  int16   // reads in a row that filled the buffer

	readable bool // the source may have bytes
	thorough bool // a short read does not mean that the source is drained
	blocked  bool // the destination takes nothing until EPOLLOUT
	ended    bool // the source came to its end of file
	done     bool // and the destination has been told
}

func (f *flow) inHand() bool { return len(f.rest) > 0 || f.pipe != nil }

// drop gives up what is in hand.
func (f *flow) drop(l *loop) {
	if f.buf != nil {
		l.buffers.put(f.buf)
	}
	if f.pipe != nil {
		l.pipes.put(f.pipe)
	}
	f.rest, f.buf, f.pipe = nil, nil, nil
}

// pump moves what can be moved in flow d, for one turn at most.
func (p *pair) pump(d Side) {
	f := &p.flows[d]
	if p.ended || f.done || f.blocked {
		return
	}
	if f.inHand() && !p.flush(d) {
		return
	}
	for range turn {
		if f.ended {
			p.passEnd(d)
			return
		}
		if !f.readable {
			return
		}
		p.fill(d)
		if p.ended || f.inHand() && !p.flush(d) {
			return
		}
	}
	if (f.readable || f.ended) && !p.waiting {
		p.waiting = true
		p.loop.turns = append(p.loop.turns, p)
	}
}

// fill takes bytes in hand.
func (p *pair) fill(d Side) {
	f, l := &p.flows[d], p.loop
	if f.full >= bulkAfter && p.spliceIn(d) {
		return
	}
	if p.stream[d] >= streamAfter && l.alone {
		yield() // while the source fills the socket: half the calls for the same bytes
	}
	buf := l.buffers.get()
	n, errno := recv(p.sides[d].fd, buf[:])
	if errno != 0 || n == 0 {
		l.buffers.put(buf)
		p.dry(d, errno)
		return
	}
	if n == len(buf) {
		f.full++
	} else {
		f.full = min(f.full, 0)
		f.readable = f.thorough
	}
	f.buf, f.rest = buf, buf[:n]
	p.last = l.now
	p.streams(d, n)
}

// streams notes a read of n bytes in flow d. A stream ends with a small piece,
// with a full buffer, or with a byte of the other direction.
func (p *pair) streams(d Side, n int) {
	p.stream[d.other()] = 0
	if n < streamPiece || n == bufferSize {
		p.stream[d] = 0
		return
	}
	p.stream[d] = min(p.stream[d]+1, streamAfter)
}

// dry handles a source that gave nothing.
func (p *pair) dry(d Side, errno syscall.Errno) {
	f := &p.flows[d]
	switch errno {
	case 0:
		f.ended = true
	case unix.EAGAIN:
		f.readable = false
	case unix.EINTR:
	default:
		p.end(&SocketError{d, "read", errno})
	}
}

// flush sends what is in hand. It reports whether that has succeeded; if not,
// the flow waits for its destination, or the pair has ended.
func (p *pair) flush(d Side) bool {
	f := &p.flows[d]
	if f.pipe != nil {
		return p.spliceOut(d)
	}
	for len(f.rest) > 0 {
		n, errno := send(p.sides[d.other()].fd, f.rest)
		if errno != 0 {
			if !p.held(d, errno) {
				return false
			}
			continue
		}
		f.rest = f.rest[n:]
		f.moved += int64(n)
		p.last = p.loop.now
	}
	f.drop(p.loop)
	return true
}

// held handles a destination that took nothing; it reports whether to try
// again.
func (p *pair) held(d Side, errno syscall.Errno) bool {
	f := &p.flows[d]
	switch errno {
	case unix.EINTR:
		return true
	case unix.EAGAIN:
		f.blocked = true
		if !p.sides[d.other()].tcp {
			_ = p.control(unix.EPOLL_CTL_MOD, d.other()) // a registered descriptor cannot fail
		}
	default:
		p.lastWords(d, errno)
	}
	return false
}

// passEnd half-closes the destination, after its last byte.
func (p *pair) passEnd(d Side) {
	p.flows[d].done = true
	// ENOTCONN: it is gone already, as its own events will tell.
	_ = unix.Shutdown(int(p.sides[d.other()].fd), unix.SHUT_WR)
}

// spliceIn fills a pipe from the source; it reports false if that is not
// possible and copying should go on.
func (p *pair) spliceIn(d Side) bool {
	f, l := &p.flows[d], p.loop
	pipe := l.pipes.get()
	if pipe == nil {
		f.full = never / 2 // no descriptor: ask again much later
		return false
	}
	n, errno := splice(p.sides[d].fd, pipe.w, pipeSize)
	if errno == 0 && n > 0 {
		pipe.n, f.pipe = n, pipe
		if n < bulkWhile {
			f.full = 0
		}
		p.last = l.now
		return true
	}
	l.pipes.put(pipe)
	if errno == unix.EINVAL || errno == unix.ENOSYS || errno == unix.EPERM {
		f.full = never
		return false
	}
	p.dry(d, errno)
	return true
}

// spliceOut empties the pipe into the destination, as flush does for a buffer.
func (p *pair) spliceOut(d Side) bool {
	f := &p.flows[d]
	for f.pipe.n > 0 {
		n, errno := splice(f.pipe.r, p.sides[d.other()].fd, f.pipe.n)
		if errno != 0 {
			if !p.held(d, errno) {
				p.strained(d)
				return false
			}
			continue
		}
		f.pipe.n -= n
		f.moved += int64(n)
		p.last = p.loop.now
	}
	p.eased(d)
	f.drop(p.loop)
	return true
}

// strained is called when a splice of flow d has found the destination full.
func (p *pair) strained(d Side) {
	if p.strain[d] += strainFull; p.strain[d] >= strainLimit {
		p.strain[d], p.flows[d].full = 0, -bulkRetry
	}
}

// eased is called when a pipe has been emptied.
func (p *pair) eased(d Side) { p.strain[d] = max(p.strain[d]-1, 0) }
