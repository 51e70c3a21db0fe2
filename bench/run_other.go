//go:build !linux

package main

import "errors"

// run refuses: CPU time, memory and descriptors are read from /proc, and the
// other proxies are Debian's.
func run([]string) error {
	return errors.New("the benchmarks run on Linux only")
}
