// Package relay moves bytes between two established connections: the hot path.
package relay

import (
	"errors"
	"net"
	"time"
)

// Relay runs pairs. The implementations differ in how they wait for bytes (an
// event loop per core where the sockets are plain and the platform has epoll,
// two goroutines elsewhere); a kernel relay can join later behind the same
// interface.
type Relay interface {
	// Start takes ownership of both connections and returns at once. From
	// then on the caller must not touch them. Handle.Stop may be called at
	// any time, from any goroutine.
	Start(p Pair) Handle
	// Look tells how far pairs are that Start has returned, in the order of
	// handles; what a pair that has ended shows means nothing. It waits for the
	// loops, for microseconds, and costs pairs nothing while nobody looks.
	// details cost some system calls a pair.
	Look(handles []Handle, details bool) []Progress
	// Close stops every pair with ErrStopped, waits until all Done callbacks
	// have returned, and releases the relay's goroutines and descriptors.
	Close() error
}

// Pair is two connections and what was read ahead from them.
type Pair struct {
	Client, Target net.Conn
	// FromClient is delivered to Target, FromTarget to Client, before
	// anything that is read from the connections. The relay owns them.
	FromClient, FromTarget []byte
	// IdleTimeout ends a pair on which no byte moved in either direction for
	// that long; zero means never. Precise to about a second.
	IdleTimeout time.Duration
	// Owner, if not nil, is told how it ended. It is no function, because an
	// idle pair would keep one of its own in memory for that.
	Owner Owner
}

// Owner is who gave a pair to the relay.
type Owner interface {
	// Done is called once, after both connections are closed, from a
	// goroutine of the relay's that it must not hold up.
	Done(Result)
}

// Handle is a running pair.
type Handle interface {
	// Stop closes both sides promptly; the pair's Result carries cause.
	Stop(cause error)
}

// Result is how a pair ended.
type Result struct {
	// ToTarget and ToClient count the bytes delivered, those read ahead
	// included.
	ToTarget, ToClient int64
	// Err is nil when both directions ended in order (each side's end of
	// file was passed on as a half-close), else the cause given to Stop,
	// ErrIdle, or the first socket error.
	Err error
}

// The relay's own reasons for ending a pair.
var (
	ErrIdle    = errors.New("no traffic within the idle timeout")
	ErrStopped = errors.New("relay stopped")
)
