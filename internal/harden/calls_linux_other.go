//go:build linux && !amd64 && !arm64

package harden

// There is no filter for this machine.
const (
	nativeArch = 0
	foreignBit = 0
)

func refusedCalls(bool) []uint32 { return nil }
