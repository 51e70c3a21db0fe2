package harden

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Conceal keeps others of the same user from looking into the process, and the
// kernel from writing it to a core dump: it is for the time before the
// configuration, which may hold secrets, has been read. Where that says Off,
// reveal undoes it.
func Conceal() (reveal func() error, err error) {
	was, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err == nil {
		err = setDumpable(false)
	}
	reveal = func() error {
		if err != nil || was != dumpable {
			return nil
		}
		return setDumpable(true)
	}
	return reveal, err
}

// Apply gives up what level says and the needs leave room for. It is called
// once, before anything of the outside is served. Under Strict an error means
// that something is not in force; what is cannot be taken back.
func Apply(level Level, n Needs) (*State, error) {
	s := &State{Level: level, needs: n, exec: true}
	if level == Off {
		return s, nil
	}
	if err := Check(level, n); err != nil {
		return s, err
	}
	s.exec = level != Strict && len(n.Commands)+len(n.PerhapsCommands) > 0
	for _, measure := range []func(*State) error{noCore, noInspection, noPrivileges, restrictFiles, filterCalls} {
		if err := measure(s); err != nil && level == Strict {
			return s, fmt.Errorf("hardening is strict, and not all of it is possible here: %w; write hardening: default to run with what is", err)
		}
	}
	return s, nil
}

func noCore(s *State) error {
	err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	s.measured(coreDumps, err, "none are written")
	return wrap("ruling out core dumps", err)
}

// noInspection makes the process non-dumpable: its memory, environment and
// descriptors in /proc belong to root, and ptrace is refused to others of the
// same user.
func noInspection(s *State) error {
	err := setDumpable(false)
	s.measured(inspection, err, "refused to other processes of the same user")
	return wrap("ruling out inspection", err)
}

func noPrivileges(s *State) error {
	err := onAllThreads(unix.PR_SET_NO_NEW_PRIVS, 1)
	s.measured(newPrivileges, err, "refused, to programs that it starts too")
	return wrap("ruling out new privileges", err)
}

// measured adds a measure that is on unless there was an error.
func (s *State) measured(name string, err error, detail string) {
	if err != nil {
		detail = err.Error()
	}
	s.add(name, err == nil, detail)
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// dumpable is what the kernel calls a process that is (SUID_DUMP_USER).
const dumpable = 1

func setDumpable(on bool) error {
	value := uintptr(0)
	if on {
		value = dumpable
	}
	return unix.Prctl(unix.PR_SET_DUMPABLE, value, 0, 0, 0)
}
