package httpproxy

import (
	"context"
	"crypto/rand"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/http1"
	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/wire/http1wire"
)

// Connector is the proxy of one address, for one service or for several. Safe
// for concurrent use.
type Connector struct {
	env       *environment
	authority Authority
	log       *slog.Logger
	services  []*service
	router    *router
	via       string // how it knows itself, to notice loops

	draining atomic.Bool
	goodbye  sync.WaitGroup
	starting sync.Once
	running  atomic.Pointer[running] // what needs the limits that a session brings
}

// running is what the connections of a Connector share.
type running struct {
	server *http1.Server // HTTP/1.1, for the listener and inside of tunnels
	h2     *http.Server  // HTTP/2 inside of tunnels
	pools  map[*service]*pool
	// unmatched is for requests without a service: of clients on this machine,
	// and of others, which must not reach this machine's own ports.
	unmatched, foreign *pool
}

func newConnector(env *environment, authority Authority, log *slog.Logger, services ...*service) *Connector {
	return &Connector{
		env: env, authority: authority, log: log, services: services,
		router: newRouter(services), via: "1.1 secretless-" + rand.Text(),
	}
}

const (
	maxHeaderBytes = 64 << 10
	maxHeaders     = 256
	maxStreams     = 250
	// headerSlop is what net/http adds to MaxHeaderBytes.
	headerSlop = 4 << 10
)

// run makes what is shared when the first connection comes. All sessions of a
// service have the same limits.
func (c *Connector) run(s *connector.Session) *running {
	c.starting.Do(func() {
		r := &running{pools: map[*service]*pool{}}
		for _, svc := range c.services {
			r.pools[svc] = newPool(c.env, guardOf(c.env, svc), false, s.ConnectTimeout, svc.responseTimeout, c.via)
		}
		if c.router.forward {
			r.unmatched = newPool(c.env, &guard{proxies: c.env.proxies}, true, s.ConnectTimeout, 0, c.via)
			r.foreign = newPool(c.env, &guard{proxies: c.env.proxies, noLoopback: true}, true, s.ConnectTimeout, 0, c.via)
		}
		for _, p := range append(slices.Collect(maps.Values(r.pools)), r.unmatched, r.foreign) {
			if p != nil && p.plain != nil {
				p.plain.Panicked = func(value any) { connector.LogPanic(c.log, value) }
			}
		}
		r.server = http1.NewServer()
		r.server.Handler, r.server.Refused = c.serve, refused
		r.server.HeadTimeout = s.HandshakeTimeout
		r.server.Limits = http1wire.Limits{Bytes: maxHeaderBytes, Lines: maxHeaders}
		r.h2 = c.h2Server(s)
		c.running.Store(r)
	})
	return c.running.Load()
}

// refused is for requests that have no one meaning.
func refused(ctx context.Context, status int, err error) {
	if st, ok := ctx.Value(stageKey{}).(*stage); ok {
		st.session.Log.Info("request not served", "status", status, "error", err.Error())
	}
}

func (c *Connector) h2Server(s *connector.Session) *http.Server {
	server := &http.Server{
		Handler:                      message.Handler(c.serve),
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            s.HandshakeTimeout,
		MaxHeaderBytes:               maxHeaderBytes - headerSlop,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return stageOf(conn).connContext(ctx)
		},
		Protocols: new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerStream: streamWindow,
		},
		// What the library says about single connections is of little use, and
		// may repeat what a client sent.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	return server
}

// Drain ends connections that wait for a next request, and the others after
// the answers that they wait for.
func (c *Connector) Drain() {
	c.draining.Store(true)
	if r := c.running.Load(); r != nil {
		r.server.Drain()
		// Only Shutdown says goodbye in HTTP/2. It waits for the connections.
		c.goodbye.Go(func() { _ = r.h2.Shutdown(context.Background()) })
	}
}

// Close lets go of the connections to targets and of the authenticators.
func (c *Connector) Close() {
	c.goodbye.Wait()
	if r := c.running.Load(); r != nil {
		r.server.Close()
		for _, p := range r.pools {
			p.close()
		}
		if r.unmatched != nil {
			r.unmatched.close()
			r.foreign.close()
		}
	}
	for _, s := range c.services {
		s.close()
	}
}

// stranger is the pool for a request without a service.
func (c *Connector) stranger(s *connector.Session) *pool {
	if client, ok := s.Client.RemoteAddr().(*net.TCPAddr); ok && client.IP.IsLoopback() {
		return c.running.Load().unmatched
	}
	return c.running.Load().foreign
}
