// Package peer tells which local process is behind an accepted connection and
// whether it may connect. It runs before any byte of the connection is read.
package peer

// Identity is the process that opened a connection, as the kernel tells it.
// The zero Identity is an unknown peer.
type Identity struct {
	// Known is false where the platform or the kind of socket cannot tell;
	// the other fields are then zero.
	Known bool
	UID   uint32
	GID   uint32
	// PID is zero where it could not be found out.
	PID int
	// Executable is the path of the running program, empty if unknown.
	Executable string
}
