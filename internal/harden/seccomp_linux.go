package harden

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// filterCalls has the kernel refuse the system calls that a broker never
// makes.
func filterCalls(s *State) error {
	calls := refusedCalls(s.exec)
	err := load(filterProgram(calls, s.Level == Strict))
	s.measured(systemCalls, err, fmt.Sprintf("%d are refused, and arguments of others", len(calls)))
	switch {
	case s.exec:
		s.add(programs, false, "are run by "+who(slices.Concat(s.needs.Commands, s.needs.PerhapsCommands)))
	case err == nil || s.files:
		s.add(programs, true, "are refused")
	default:
		s.exec = true
		s.add(programs, false, "not refused")
	}
	return wrap("seccomp", err)
}

// load installs the filter for all threads. A filter is no reason for the
// kernel to slow the process down by its countermeasures against speculation
// (SPEC_ALLOW): nothing in it runs code that it does not trust.
func load(program []bpf.Instruction) error {
	if program == nil {
		return errors.New("not on " + runtime.GOARCH)
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		return fmt.Errorf("assembling the filter: %w", err)
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC|unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(filter)
	switch {
	case errno != 0:
		return fmt.Errorf("the kernel does not take the filter: %w", errno)
	case thread != 0:
		return fmt.Errorf("thread %d has a filter of its own", thread)
	}
	return nil
}
