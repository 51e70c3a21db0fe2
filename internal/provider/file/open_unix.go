//go:build unix

package file

import "syscall"

// openFlags keep an open from waiting for a named pipe's writer and from
// taking a terminal as the controlling one.
const openFlags = syscall.O_NONBLOCK | syscall.O_NOCTTY
