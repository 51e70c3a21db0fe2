package relay

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// loop is one goroutine that moves the bytes of many pairs. What stands below
// commands and closed belongs to it alone; the rest of the program talks to it
// by commands.
type loop struct {
	ledger *ledger
	rest   *copiers // carries what the loop cannot watch
	exited chan struct{}

	// count is the number of pairs given to the loop.
	count atomic.Int64

	mu       sync.Mutex
	commands []command
	closed   bool

	epfd, wake, timer int
	pairs             table
	turns, taken      []*pair // have used up their turn with bytes left to move
	buffers           buffers
	pipes             pipes
	now               uint32 // ticks seen
	timed             int    // pairs with an idle timeout
	ticking           bool
	alone             bool // only one descriptor had anything to say
	quitting          bool
}

// command is what other goroutines ask of a loop.
type command struct {
	what     what
	pair     *pair
	cause    error
	question *question
}

type what uint8

const (
	begin what = iota
	stop
	quit
	look
)

// Tokens of the loop's own descriptors; those of pairs are never negative.
const (
	wakeToken  = -1
	timerToken = -2
)

func newLoop(ld *ledger, rest *copiers) (*loop, error) {
	l := &loop{ledger: ld, rest: rest, exited: make(chan struct{}), epfd: -1, wake: -1, timer: -1}
	if err := l.openDescriptors(); err != nil {
		l.closeDescriptors()
		return nil, err
	}
	go l.run()
	return l, nil
}

func (l *loop) openDescriptors() (err error) {
	if l.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create: %w", err)
	}
	if l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return fmt.Errorf("timerfd_create: %w", err)
	}
	for fd, token := range map[int]int32{l.wake: wakeToken, l.timer: timerToken} {
		ev := unix.EpollEvent{Events: unix.EPOLLIN | edge, Fd: token}
		if err := unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
			return fmt.Errorf("epoll_ctl: %w", err)
		}
	}
	return nil
}

func (l *loop) closeDescriptors() {
	for _, fd := range []int{l.epfd, l.wake, l.timer} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// post hands a command to the loop. A loop that has gone has no pairs left to
// stop, and the ledger refuses new ones before loops are closed; a begin that
// still comes too late ends its pair.
func (l *loop) post(c command) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		switch c.what {
		case begin:
			c.pair.refuse()
		case look:
			close(c.question.done) // its pairs have ended
		}
		return
	}
	l.commands = append(l.commands, c)
	if len(l.commands) == 1 {
		// The descriptor is edge-triggered: every write is an event, and the
		// counter never needs to be read.
		one := [8]byte{0: 1}
		_, _ = unix.Write(l.wake, one[:])
	}
}

// yieldAfter is how long the loop goes without a pause. The runtime's monitor
// takes the processor away from a goroutine that has run for 10 ms, even in a
// system call, and looks for such ones every 20 µs once it has found one: for
// a loop that never paused, that cost a third of its own time.
const yieldAfter = 4 * time.Millisecond

// run is the loop. It is not locked to a thread: coming back from epoll_wait
// it goes on where it was anyway, and a pause is cheap only without the lock.
func (l *loop) run() {
	defer close(l.exited)
	events := make([]unix.EpollEvent, 256)
	paused := time.Now()
	for !l.quitting {
		n, errno := 0, syscall.Errno(0)
		if len(l.turns) > 0 {
			n, errno = poll(l.epfd, events)
		} else {
			n, errno = wait(l.epfd, events)
		}
		if errno != 0 {
			n = 0 // EINTR; nothing else can happen to descriptors of our own
		}
		l.alone = n == 1 && len(l.turns) == 0
		for i := range events[:n] {
			l.dispatch(&events[i])
		}
		l.takeTurns()
		l.schedule()
		if now := time.Now(); now.Sub(paused) > yieldAfter {
			paused = now
			runtime.Gosched()
		}
	}
	l.pipes.closeAll()
	l.closeDescriptors()
}

func (l *loop) dispatch(ev *unix.EpollEvent) {
	switch ev.Fd {
	case wakeToken:
		l.obey()
	case timerToken:
		l.onTick()
	default:
		// A descriptor's number may have been used again since the kernel
		// noted the event; a token never is.
		if p := l.pairs.find(ev.Fd>>1, ev.Pad); p != nil {
			p.onEvent(Side(ev.Fd&1), ev.Events)
		}
	}
}

// takeTurns goes on with the pairs that had more to move than one turn allows.
func (l *loop) takeTurns() {
	l.turns, l.taken = l.taken[:0], l.turns
	for i, p := range l.taken {
		l.taken[i] = nil // do not keep ended pairs alive
		p.waiting = false
		p.pump(Client)
		p.pump(Target)
		p.settle()
	}
}

// obey carries out what was posted. Commands posted meanwhile are a new event.
func (l *loop) obey() {
	l.mu.Lock()
	commands := l.commands
	l.commands = nil
	for _, c := range commands {
		l.quitting = l.quitting || c.what == quit
	}
	l.closed = l.quitting
	l.mu.Unlock()
	for _, c := range commands {
		switch c.what {
		case begin:
			l.begin(c.pair)
		case stop:
			c.pair.stop(c.cause)
		case look:
			c.question.answer()
		}
	}
	if l.quitting {
		l.pairs.each(func(p *pair) { p.end(ErrStopped) })
	}
}

// begin watches a pair's sockets and lets go of Go's.
func (l *loop) begin(p *pair) {
	l.pairs.add(p)
	if err := p.watch(); err != nil {
		// Out of watches or kernel memory: the originals still work.
		l.pairs.remove(p)
		l.count.Add(-1)
		p.release()
		p.elsewhere = l.rest.start(*p.given)
		return
	}
	p.abandon()
	p.owner, p.given = p.given.Owner, nil
	p.last = l.now
	if p.idle > 0 {
		l.timed++
	}
	p.pump(Client)
	p.pump(Target)
	p.settle()
}

// onTick runs about once a second while something ages.
func (l *loop) onTick() {
	var b [8]byte
	if _, err := unix.Read(l.timer, b[:]); errors.Is(err, unix.EAGAIN) {
		return
	}
	l.now++
	l.pipes.age()
	if l.timed == 0 {
		return
	}
	l.pairs.each(func(p *pair) {
		if idleSince(p.last, l.now, p.idle) {
			p.end(ErrIdle)
		}
	})
}

// schedule keeps the timer running exactly while something ages.
func (l *loop) schedule() {
	need := l.timed > 0 || l.pipes.held() > 0
	if need == l.ticking {
		return
	}
	l.ticking = need
	var spec unix.ItimerSpec
	if need {
		every := unix.NsecToTimespec(int64(tick))
		spec = unix.ItimerSpec{Interval: every, Value: every}
	}
	_ = unix.TimerfdSettime(l.timer, 0, &spec, nil) // fails on bad arguments only
}
