package relay

import "fmt"

// Side names one of a pair's two connections.
type Side uint8

// The sides of a pair. They index arrays: a flow has the number of the side
// that it reads from.
const (
	Client Side = iota
	Target
)

// String is the side as it appears in logs and errors.
func (s Side) String() string {
	if s == Client {
		return "client"
	}
	return "target"
}

// other is the side that s talks to.
func (s Side) other() Side { return s ^ 1 }

// SocketError is the failure of one side's connection that ended a pair. Err
// is what the system or the TLS layer said: syscall.ECONNRESET and
// syscall.EPIPE can be found with errors.Is.
type SocketError struct {
	Side Side
	Op   string // "read" or "write"
	Err  error
}

// Error says which side failed, doing what.
func (e *SocketError) Error() string {
	if e.Op == "write" {
		return fmt.Sprintf("write to %s: %v", e.Side, e.Err)
	}
	return fmt.Sprintf("read from %s: %v", e.Side, e.Err)
}

// Unwrap returns the cause.
func (e *SocketError) Unwrap() error { return e.Err }
