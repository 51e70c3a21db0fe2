package broker

import (
	"context"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxSocketPath is the room in sockaddr_un, less the closing zero.
const maxSocketPath = 107

// bindUnix binds path with mode and no more: on Linux the file takes the mode
// that the socket has when it is bound, less the umask, so that there is no
// moment with a wider one and no need to touch the umask of the process.
func bindUnix(ctx context.Context, path string, mode os.FileMode) (*net.UnixListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var modeErr error
		if err := c.Control(func(fd uintptr) { modeErr = unix.Fchmod(int(fd), uint32(mode)) }); err != nil {
			return err
		}
		return modeErr
	}}
	ln, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	return ln.(*net.UnixListener), nil
}
