package target

import (
	"context"
	"net"
	"time"
)

// Watch makes ctx apply to conn: when ctx ends, reads and writes that block,
// and those that follow, fail at once with a timeout. The caller calls release
// once, when it is done with ctx; conn then has no deadline, whether ctx ended
// or not, and is no longer touched.
//
// While a Watch is active nobody else may set deadlines of conn.
func Watch(ctx context.Context, conn net.Conn) (release func()) {
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(fired)
		_ = conn.SetDeadline(time.Unix(1, 0))
	})
	return func() {
		if stop() {
			return
		}
		// The function runs or has run: without waiting it could set its
		// deadline after ours was cleared.
		<-fired
		_ = conn.SetDeadline(time.Time{})
	}
}
