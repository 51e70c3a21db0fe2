package target

import "syscall"

// platformRefused is WSAECONNREFUSED, which syscall.ECONNREFUSED is not.
const platformRefused = syscall.Errno(10061)
