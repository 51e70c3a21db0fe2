//go:build !linux

package harden

import (
	"errors"
	"runtime"
)

// Conceal does something on Linux.
func Conceal() (reveal func() error, err error) { return func() error { return nil }, nil }

// Apply gives up what level says and the needs leave room for, on Linux.
func Apply(level Level, n Needs) (*State, error) {
	s := &State{Level: level, needs: n, exec: true}
	if level == Off {
		return s, nil
	}
	for _, name := range []string{coreDumps, inspection, newPrivileges, systemCalls, programs, landlocked} {
		s.add(name, false, "not on "+runtime.GOOS)
	}
	if level == Strict {
		return s, errors.New("hardening is strict, which is possible on Linux only; write hardening: default to run with what there is")
	}
	return s, nil
}
