package admin

import (
	"net"

	"golang.org/x/sys/unix"
)

// callerUID asks the kernel who called connect(2).
func callerUID(c net.Conn) (uid uint32, known bool, err error) {
	err = onSocket(c, func(fd int) error {
		cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil {
			uid, known = cred.Uid, true
		}
		return err
	})
	return uid, known, err
}
