package harden

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// strictABI is the Landlock of Linux 6.12: the first that knows ports, signals
// and abstract sockets.
const strictABI = 6

// Rights that the broker needs in directories that it writes to, and those
// that it needs nowhere.
const (
	directoryRights = unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK
	fileRights  = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	neverRights = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SYM
)

// restrictFiles is Landlock: the process writes to the needed places only,
// runs nothing and signals nobody. It also ends that the process can see into
// others, so that it is left out where that is needed. Programs that the
// broker starts would be bound by it too, and many write to caches and locks
// in their own places: it is left out for them as well.
func restrictFiles(s *State) error {
	if n := s.needs; !n.Confined(s.Level) {
		why := "programs are run, which would be bound too: " + who(slices.Concat(n.Commands, n.PerhapsCommands))
		if !s.exec {
			why = "other processes must be seen: " + who(slices.Concat(n.Processes, n.PerhapsProcesses))
		}
		s.add(landlocked, false, why)
		return nil
	}
	abi, err := landlockABI()
	if err == nil && s.Level == Strict && abi < strictABI {
		err = fmt.Errorf("the kernel's Landlock has version %d, strict needs %d (Linux 6.12)", abi, strictABI)
	}
	if err == nil {
		err = s.landlock()
	}
	if err != nil {
		s.add(landlocked, false, err.Error())
		return fmt.Errorf("landlock: %w", err)
	}
	s.files = true
	s.add(landlocked, true, fmt.Sprintf("version %d; writes to %s only", abi, whoOrNothing(s.needs.Writable)))
	return nil
}

func whoOrNothing(paths []string) string {
	if len(paths) == 0 {
		return "nothing"
	}
	return who(paths)
}

func (s *State) landlock() error {
	c := landlock.Config{
		HandledAccessFS: directoryRights | fileRights | neverRights,
		Scoped:          unix.LANDLOCK_SCOPE_SIGNAL,
	}
	rules := []landlock.Rule{landlock.PathAccess(fileRights, os.DevNull).IgnoreIfMissing()}
	for _, path := range s.needs.Writable {
		rights := landlock.AccessFSSet(fileRights)
		if info, err := os.Stat(path); err != nil {
			continue // who needs it will say that it is not there
		} else if info.IsDir() {
			rights |= directoryRights
		}
		rules = append(rules, landlock.PathAccess(rights, path))
	}
	if s.Level == Strict {
		c.Scoped |= unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
		c.HandledAccessNet = unix.LANDLOCK_ACCESS_NET_BIND_TCP
		for _, p := range s.needs.Ports {
			rules = append(rules, landlock.BindTCP(p))
		}
		s.ports = true
		return c.Restrict(rules...)
	}
	return c.BestEffort().Restrict(rules...)
}

func landlockABI() (int, error) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	switch {
	case errno == unix.ENOSYS || errno == unix.EOPNOTSUPP:
		return 0, errors.New("the kernel has no Landlock (Linux 5.13), or it is not switched on")
	case errno != 0:
		return 0, fmt.Errorf("asking for its version: %w", errno)
	}
	return int(abi), nil
}

// onAllThreads is prctl for every thread of the process.
func onAllThreads(option, value uintptr) error {
	if _, _, errno := psx.Syscall6(unix.SYS_PRCTL, option, value, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
