package admin

import (
	"context"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"secretless/internal/audit"
	"secretless/internal/peer"
)

// Private wraps the listener of an admin socket: connections of any user but
// the broker's own and root are closed at once, whatever mode the socket has by
// now. Where the platform does not tell who connects (Windows), the directory's
// permissions decide alone. Who is closed is in the audit; of who tries again and
// again, how often.
func Private(l net.Listener, log *slog.Logger, sink audit.Sink) net.Listener {
	return &private{Listener: l, own: uint32(os.Geteuid()), log: log, refused: refusals{audit: sink}}
}

type private struct {
	net.Listener
	own     uint32
	log     *slog.Logger
	refused refusals

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
		id, err := peer.Identify(c)
		if err != nil {
			id = peer.Identity{}
		}
		p.refused.record(id)
		_ = c.Close()
	}
}

// Close ends the listener. What was not recorded yet is.
func (p *private) Close() error {
	err := p.Listener.Close()
	p.refused.close()
	return err
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

// Caller is the process that sent the request that ctx belongs to; it is not
// known for any other ctx.
func Caller(ctx context.Context) peer.Identity {
	id, _ := ctx.Value(callerKey{}).(peer.Identity)
	return id
}
