package postgres

import (
	"errors"
	"net"
	"time"

	"secretless/internal/connector"
)

const (
	// lifelineDelay is how long a login may take before the client is
	// watched. Most logins are over by then and cost no goroutine.
	lifelineDelay = 200 * time.Millisecond
	// maxEarly bounds what a watched client can send ahead of its time.
	maxEarly = 16 << 10
)

// lifeline notices that a client leaves while the broker waits for a provider
// or a target, so that both are let go at once and not at the timeout.
type lifeline struct {
	client net.Conn
	gone   func(cause error)
	timer  *time.Timer
	done   chan struct{}
	early  []byte
}

// watchClient calls gone, at most once, when the client leaves before stop.
func watchClient(client net.Conn, gone func(cause error)) *lifeline {
	l := &lifeline{client: client, gone: gone, done: make(chan struct{})}
	l.timer = time.AfterFunc(lifelineDelay, l.run)
	return l
}

// stop ends the watch and returns what the client has sent meanwhile. The read
// deadline of the client is then cleared.
func (l *lifeline) stop() (early []byte) {
	if l.timer.Stop() {
		return nil
	}
	_ = l.client.SetReadDeadline(time.Unix(1, 0))
	<-l.done
	_ = l.client.SetReadDeadline(time.Time{})
	return l.early
}

func (l *lifeline) run() {
	defer close(l.done)
	chunk := make([]byte, 512)
	for len(l.early) < maxEarly {
		n, err := l.client.Read(chunk)
		l.early = append(l.early, chunk[:n]...)
		switch {
		case err == nil:
		case isTimeout(err): // stopped
			return
		default:
			// One that has sent its first query may have closed its own
			// direction only, and wait for the answer.
			if len(l.early) == 0 {
				l.gone(untold(connector.KindClientGone, errors.New("the client left during the login")))
			}
			return
		}
	}
}
