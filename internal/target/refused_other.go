//go:build !windows

package target

import "syscall"

const platformRefused = syscall.ECONNREFUSED
