package ssh

import "sync"

// A packet of the library holds 32 KiB; what is not the main stream is rarely
// as large.
const (
	dataBuffer     = 32 << 10
	extendedBuffer = 8 << 10
)

// buffers are for copying, shared by the connections of a service. A channel
// has four of them in use.
type buffers struct{ data, extended sync.Pool }

func newBuffers() *buffers {
	pool := func(size int) sync.Pool {
		return sync.Pool{New: func() any {
			b := make([]byte, size)
			return &b
		}}
	}
	return &buffers{data: pool(dataBuffer), extended: pool(extendedBuffer)}
}
