package admin

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"secretless/internal/peer"
)

// Private wraps the listener of an admin socket: connections of any user but
// the broker's own and root are closed at once, whatever mode the socket has by
// now. Where the platform does not tell who connects (Windows), the directory's
// permissions decide alone.
func Private(l net.Listener, log *slog.Logger) net.Listener {
	return &private{Listener: l, own: uint32(os.Geteuid()), log: log}
}

type private struct {
	net.Listener
	own uint32
	log *slog.Logger

	mu     sync.Mutex
	warned time.Time
	held   int
}

// Accept returns the next connection that may be served.
func (p *private) Accept() (net.Conn, error) {
	for {
		c, err := p.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid, known, err := callerUID(c)
		switch {
		case err != nil:
			p.warn("cannot tell who connects to the admin socket, refused", "error", err)
		case known && uid != p.own && uid != 0:
			p.warn("another user at the admin socket, refused", "uid", uid)
		default:
			return c, nil
		}
		_ = c.Close()
	}
}

// warnEvery is how often refusals are logged.
const warnEvery = 10 * time.Second

func (p *private) warn(text string, attrs ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.warned) >= warnEvery {
		p.log.Warn(text, append(attrs, "more", p.held)...)
		p.warned, p.held = now, 0
		return
	}
	p.held++
}

type callerKey struct{}

// withCaller notes the process behind a connection for its requests.
func withCaller(ctx context.Context, c net.Conn) context.Context {
	if c.LocalAddr().Network() != "unix" {
		return ctx
	}
	for {
		layer, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = layer.NetConn()
	}
	id, err := peer.Identify(c)
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, callerKey{}, id)
}

func callerOf(r *http.Request) peer.Identity {
	id, _ := r.Context().Value(callerKey{}).(peer.Identity)
	return id
}
