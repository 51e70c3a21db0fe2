package relay

import (
	"math"
	"syscall"

	"golang.org/x/sys/unix"
)

// edge makes a registration report changes only.
const edge = 1 << 31 // unix.EPOLLET, which is negative where int is 32 bits wide

// pair is two sockets on a loop. Its fields belong to the loop's goroutine,
// from begin on. It is kept small: idle, it is all that a connection costs.
type pair struct {
	loop  *loop
	sides [2]side
	flows [2]flow // flows[s] reads from side s and writes to the other
	owner Owner
	given *Pair // until the pair has begun

	// elsewhere carries the pair if the loop could not.
	elsewhere Handle

	slot int32
	idle uint32 // ticks without a byte that end the pair; zero never
	last uint32 // tick of the last byte moved
	// strain counts for each flow how often splices have lately found its
	// destination full. It lies here for the sake of the pair's size.
	strain [2]int8
	// stream counts for each flow the reads in a row that are a stream's.
	stream  [2]int8
	waiting bool // is in loop.turns
	ended   bool
}

type side struct {
	fd  int32
	tcp bool
	// gone: the socket reported an error, or that its peer neither sends nor
	// receives any more.
	gone bool
}

// Stop implements Handle.
func (p *pair) Stop(cause error) {
	p.loop.post(command{what: stop, pair: p, cause: cause})
}

func (p *pair) stop(cause error) {
	switch {
	case p.elsewhere != nil:
		p.elsewhere.Stop(cause)
	case !p.ended:
		p.end(cause)
	}
}

// interest is what side s is watched for. A unix socket reports that it can be
// written to each time its peer has read something, so it is asked only while
// someone waits for it; TCP reports it only to who ran into EAGAIN.
func (p *pair) interest(s Side) uint32 {
	mask := uint32(unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLRDHUP | edge)
	if p.sides[s].tcp || p.flows[s.other()].blocked {
		mask |= unix.EPOLLOUT
	}
	return mask
}

func (p *pair) control(op int, s Side) error {
	ev := unix.EpollEvent{
		Events: p.interest(s),
		Fd:     p.slot<<1 | int32(s),
		Pad:    p.loop.pairs.slots[p.slot].generation,
	}
	return unix.EpollCtl(p.loop.epfd, op, int(p.sides[s].fd), &ev)
}

// watch registers both sockets, or none.
func (p *pair) watch() error {
	if err := p.control(unix.EPOLL_CTL_ADD, Client); err != nil {
		return err
	}
	return p.control(unix.EPOLL_CTL_ADD, Target)
}

// abandon closes Go's own descriptors. Nothing is sent to the peers by that:
// the duplicates keep the sockets open.
func (p *pair) abandon() {
	p.given.Client.Close()
	p.given.Target.Close()
}

// refuse ends a pair that its loop never saw.
func (p *pair) refuse() {
	p.abandon()
	p.closeSockets()
	p.loop.count.Add(-1)
	p.loop.ledger.settle(p.given.Owner, Result{Err: ErrStopped})
}

// release closes the loop's descriptors. They are taken out of the epoll set
// by hand, since a process forked meanwhile may keep the socket open, and
// registered, for a moment longer.
func (p *pair) release() {
	for _, s := range p.sides {
		_ = unix.EpollCtl(p.loop.epfd, unix.EPOLL_CTL_DEL, int(s.fd), nil)
	}
	p.closeSockets()
}

func (p *pair) closeSockets() {
	for _, s := range p.sides {
		unix.Close(int(s.fd))
	}
}

// onEvent handles what epoll reported about side s.
func (p *pair) onEvent(s Side, events uint32) {
	in, out := &p.flows[s], &p.flows[s.other()]
	const trouble = unix.EPOLLHUP | unix.EPOLLERR
	if events&^unix.EPOLLOUT != 0 {
		in.readable = true
		// After an end of file no further event comes, and urgent data ends
		// a read early: then only EAGAIN means that nothing is left.
		in.thorough = in.thorough || events&(unix.EPOLLRDHUP|unix.EPOLLPRI|trouble) != 0
		p.pump(s)
	}
	if events&trouble != 0 {
		p.sides[s].gone = true
	}
	if out.blocked && events&(unix.EPOLLOUT|trouble) != 0 {
		out.blocked = false
		if !p.ended && !p.sides[s].tcp {
			_ = p.control(unix.EPOLL_CTL_MOD, s) // a registered descriptor cannot fail
		}
		p.pump(s.other())
	}
	p.settle()
}

// settle ends the pair if it is complete.
func (p *pair) settle() {
	if p.ended {
		return
	}
	if p.flows[Client].done && p.flows[Target].done {
		p.end(nil)
		return
	}
	for s := range p.sides {
		if p.sides[s].gone && !p.ended {
			p.settleGone(Side(s))
		}
	}
}

// settleGone ends the pair if side s is gone and all that it left behind has
// been delivered, or cannot be. Reading finds out by itself unless it has come
// to the end of file before, or is held up by the other side.
func (p *pair) settleGone(s Side) {
	in, out := &p.flows[s], &p.flows[s.other()]
	if !in.done && !in.blocked {
		return // the rest of its turn is still to come
	}
	op := "read"
	if in.done {
		op = "write"
	}
	errno := socketError(p.sides[s].fd)
	if errno == 0 && out.inHand() {
		errno = syscall.EPIPE
	}
	switch {
	case errno != 0:
		// Also if the other side takes no more at present: what is in hand
		// for it is part of a stream that has no end any more.
		p.end(&SocketError{s, op, errno})
	case in.done:
		// A unix socket's peer has closed after its last byte; with nobody
		// there to receive, the pair has run its course.
		p.end(nil)
	}
}

// end closes both sockets and settles the pair.
func (p *pair) end(cause error) {
	p.ended = true
	l := p.loop
	for s := range p.sides {
		if cause != nil && p.sides[s].tcp && p.owed(Side(s), cause) {
			// A reset: the end of a stream that was cut short must not look
			// like an orderly one.
			_ = unix.SetsockoptLinger(int(p.sides[s].fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		}
	}
	p.release()
	for s := range p.flows {
		p.flows[s].drop(l)
	}
	l.pairs.remove(p)
	if p.idle > 0 {
		l.timed--
	}
	l.count.Add(-1)
	l.ledger.settle(p.owner, Result{
		ToTarget: p.flows[Client].moved, ToClient: p.flows[Target].moved, Err: cause,
	})
	p.owner = nil
}

// owed tells whether side s misses bytes that the other side sent: some are
// in hand, or a socket failed before its stream came to an end.
func (p *pair) owed(s Side, cause error) bool {
	f := &p.flows[s.other()]
	if f.inHand() {
		return true
	}
	_, failed := cause.(*SocketError)
	return failed && !f.done
}

// lastWords is called when the other side of flow d could not be written to.
// What that side sent before it went away, often the protocol's goodbye, is
// delivered as far as the socket takes it; then the pair ends.
func (p *pair) lastWords(d Side, errno syscall.Errno) {
	f, back := &p.flows[d], &p.flows[d.other()]
	f.drop(p.loop)
	f.done = true
	back.readable, back.thorough = true, true
	const turns = 64
	for range turns {
		if p.ended || back.done || back.blocked || !back.readable {
			break
		}
		p.pump(d.other())
	}
	if !p.ended {
		f.done = false // it was not passed on
		p.end(&SocketError{d.other(), "write", errno})
	}
}

// never is a count of full reads that is out of reach.
const never = math.MinInt16
