package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// relayCore is the core that relays of HTTP loads are held to: the last. All
// others are for the client and the target, unless there is only this one.
func relayCore() int { return runtime.NumCPU() - 1 }

// onOneCore holds a process to relayCore. Go's runtime counts the cores that it
// may use when it starts.
func onOneCore(l launch) launch {
	l.args = append([]string{"/usr/bin/taskset", "-c", strconv.Itoa(relayCore())}, l.args...)
	return l
}

// besideRelay runs f while this program, with its target and clients, keeps off
// the relay's core.
func besideRelay[T any](f func() (T, error)) (T, error) {
	var nothing T
	if runtime.NumCPU() == 1 {
		return f()
	}
	before, others, err := otherCores()
	if err != nil {
		return nothing, err
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(others.Count()))
	if err := moveThreads(&others); err != nil {
		return nothing, err
	}
	done, err := f()
	if back := moveThreads(&before); err == nil {
		err = back
	}
	return done, err
}

// otherCores are those that this program may use, and those of them that are
// not for relays.
func otherCores() (mine, others unix.CPUSet, err error) {
	if err := unix.SchedGetaffinity(0, &mine); err != nil {
		return mine, others, fmt.Errorf("reading this program's cores: %w", err)
	}
	others = mine
	others.Clear(relayCore())
	return mine, others, nil
}

// moveThreads moves every thread of this program. Those that start later
// inherit it from the thread that starts them.
func moveThreads(cores *unix.CPUSet) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("this program's threads: %w", err)
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := unix.SchedSetaffinity(id, cores); err != nil && err != unix.ESRCH {
			return fmt.Errorf("moving this program to other cores: %w", err)
		}
	}
	return nil
}
