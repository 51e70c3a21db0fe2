//go:build unix

package broker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	firstInherited = 3   // SD_LISTEN_FDS_START
	maxInherited   = 256 // more than that is a mistake
)

// activation is what systemd passed to the process (sd_listen_fds(3)). The
// descriptors are kept as long as the broker runs, so that a service which a
// reload removes can come back.
type activation struct {
	getenv func(string) string
	pid    int
	first  int

	mu    sync.Mutex
	names []string // of descriptor first, first+1, …; nil before they are read
	files map[string]*os.File
}

// listen makes a listener of the descriptor called name. Closing it leaves the
// socket to systemd, which holds it too.
func (a *activation) listen(name string) (net.Listener, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.files == nil {
		if err := a.inherit(); err != nil {
			return nil, err
		}
	}
	f := a.files[name]
	if f == nil {
		return nil, fmt.Errorf("systemd passed no socket called %q, but %s: set FileDescriptorName= in the .socket unit", name, strings.Join(a.names, ", "))
	}
	if err := checkListening(int(f.Fd())); err != nil {
		return nil, fmt.Errorf("the socket that systemd passed as %q %w", name, err)
	}
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("using the socket that systemd passed as %q: %w", name, err)
	}
	return ln, nil
}

// inherit reads the environment and takes the descriptors.
func (a *activation) inherit() error {
	if pid := a.getenv("LISTEN_PID"); pid != strconv.Itoa(a.pid) {
		return fmt.Errorf("systemd passed no sockets to this process (LISTEN_PID is %q): start it through its .socket unit", pid)
	}
	n, err := strconv.Atoi(a.getenv("LISTEN_FDS"))
	if err != nil || n < 1 || n > maxInherited {
		return fmt.Errorf("LISTEN_FDS is %q, want a number from 1 to %d", a.getenv("LISTEN_FDS"), maxInherited)
	}
	names := strings.Split(a.getenv("LISTEN_FDNAMES"), ":")
	if len(names) != n {
		return fmt.Errorf("LISTEN_FDNAMES has %d names for %d sockets: set FileDescriptorName= in the .socket unit", len(names), n)
	}
	sorted := slices.Sorted(slices.Values(names))
	if len(slices.Compact(sorted)) != n {
		return errors.New("LISTEN_FDNAMES has a name twice: give every socket a .socket unit with its own FileDescriptorName=")
	}
	a.names, a.files = names, make(map[string]*os.File, n)
	for i, name := range names {
		unix.CloseOnExec(a.first + i)
		a.files[name] = os.NewFile(uintptr(a.first+i), name)
	}
	return nil
}

func checkListening(fd int) error {
	typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return fmt.Errorf("is no socket: %w", err)
	}
	if typ != unix.SOCK_STREAM {
		return errors.New("is not a stream socket: use ListenStream= in the .socket unit")
	}
	if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && on == 0 {
		return errors.New("does not listen: use Accept=no in the .socket unit")
	}
	return nil
}

func (a *activation) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.files {
		_ = f.Close()
	}
	a.files = nil
}
