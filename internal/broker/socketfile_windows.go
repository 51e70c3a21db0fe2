package broker

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"

	"golang.org/x/sys/windows"
)

const maxSocketPath = 107

func refused(err error) bool { return errors.Is(err, windows.WSAECONNREFUSED) }

// isSocket: Windows shows a unix socket as an irregular file.
func isSocket(i fs.FileInfo) bool { return i.Mode()&(fs.ModeSocket|fs.ModeIrregular) != 0 }

// change does nothing: on Windows the directory's access list decides.
func (f *socketFile) change(Socket) (undo func(), err error) { return func() {}, nil }

func bindUnix(ctx context.Context, path string, _ os.FileMode) (*net.UnixListener, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	return ln.(*net.UnixListener), nil
}

func (f *socketFile) own(s Socket) error {
	if s.UID >= 0 || s.GID >= 0 {
		return errors.New("a socket has no numeric owner on Windows: leave socket.owner and socket.group out")
	}
	return nil
}
