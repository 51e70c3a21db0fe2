package relay

import (
	"math"
	"time"
)

// bufferSize is deliberately not 64 KiB: on loopback a read of 64 KiB crosses
// a segment's boundary and costs a third of the throughput; 60 KiB stays
// below one.
const bufferSize = 60 << 10

type buffer [bufferSize]byte

// tick is how precisely idle timeouts are kept.
const tick = time.Second

// idleTicks is d in whole ticks, rounded up; zero means never.
func idleTicks(d time.Duration) uint32 {
	if d <= 0 {
		return 0
	}
	n := (int64(d)-1)/int64(tick) + 1
	return uint32(min(n, math.MaxInt32))
}

// idleSince tells whether a pair that last moved a byte in tick last has been
// idle for limit whole ticks at tick now. Ticks wrap around.
func idleSince(last, now, limit uint32) bool {
	return limit > 0 && now-last > limit
}
