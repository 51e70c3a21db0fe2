package broker

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// endpoint is one listening socket. It belongs to the broker, not to a
// service: a reload changes only which service is behind it, so that no
// client finds the address closed.
type endpoint struct {
	key     string
	written Address // as in listenOn
	ln      net.Listener
	file    *socketFile // of a unix socket of ours, else nil
	address string      // as bound, with its real port
	log     *slog.Logger
	// wildcard: it is bound to every address, so that each connection has its own.
	wildcard bool

	broken atomic.Bool // accepts no more, though nobody closed it
	quit   chan struct{}

	mu      sync.Mutex
	current *generation // nil when retired
}

// take finds the service behind e and counts nc on it in one locked step. Were
// these two steps, a reload between them could see no connection on the old
// service, release what it holds, and leave this connection on the ruins.
func (e *endpoint) take(nc net.Conn) (*conn, verdict) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == nil {
		return nil, gone
	}
	return e.current.admit(e, nc)
}

// swap puts g behind e: connections taken from now on are g's.
func (e *endpoint) swap(g *generation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current = g
}

// serves is the name of the service behind e.
func (e *endpoint) serves() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.current.svc.Name
}

// retire closes the listener and removes its file. Connections that the
// kernel had not handed over yet are reset by it.
func (e *endpoint) retire() {
	e.swap(nil)
	close(e.quit)
	if e.file != nil {
		if err := e.file.remove(); err != nil {
			e.log.Warn("cannot remove the socket", "path", e.file.path, "error", err)
		}
	}
	_ = e.ln.Close()
}

const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = 250 * time.Millisecond
)

// acceptLoop runs until e is retired. No error of the system ends it: when
// descriptors or memory run out it waits for some to come free, and meanwhile
// the kernel keeps the clients in the backlog.
func (e *endpoint) acceptLoop(serve func(*endpoint, net.Conn)) {
	var delay time.Duration
	quiet := limiter{burst: 1}
	for {
		nc, err := e.ln.Accept()
		if err == nil {
			delay = 0
			serve(e, nc)
			continue
		}
		if e.retired() {
			return
		}
		if errors.Is(err, syscall.ECONNABORTED) {
			continue // that client left the backlog, the next one may be there
		}
		e.broken.Store(!passing(err))
		delay = min(max(2*delay, minBackoff), maxBackoff)
		if n, ok := quiet.allow(time.Now()); ok {
			e.log.Error("cannot accept connections, trying again", "address", e.written.String(), "error", err, "more", n)
		}
		select {
		case <-e.quit:
			return
		case <-time.After(delay):
		}
	}
}

func (e *endpoint) retired() bool {
	select {
	case <-e.quit:
		return true
	default:
		return false
	}
}

// passing tells a shortage, which ends, from a listener that is beyond help.
func passing(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && errno != syscall.EBADF && errno != syscall.EINVAL && errno != syscall.ENOTSOCK
}
