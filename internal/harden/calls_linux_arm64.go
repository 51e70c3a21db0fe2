package harden

import "golang.org/x/sys/unix"

const (
	nativeArch = unix.AUDIT_ARCH_AARCH64
	foreignBit = 0
)

// olderCalls do not exist on this machine.
var olderCalls []uint32
