package testenv

import (
	"math/rand/v2"
	"testing"
)

// FreePort is a port of 127.0.0.1 for a program under test. It is below the
// range that the kernel gives to outgoing connections, and beside the one of the
// test servers: another connection would take it before the program does.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 200 {
		if port := 10000 + rand.IntN(10000); canListen("127.0.0.1", port) {
			return port
		}
	}
	t.Fatal("no free port between 10000 and 20000")
	return 0
}
