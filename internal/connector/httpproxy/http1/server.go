package http1

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/wire/http1wire"
)

// Server reads requests and has them answered. Its fields are set before the
// first Serve. Safe for concurrent use.
type Server struct {
	// Handler answers one request.
	Handler message.Handler
	// Refused hears of requests that were answered without the Handler, because
	// they are malformed. err quotes nothing of them.
	Refused func(ctx context.Context, status int, err error)
	// HeadTimeout bounds the reading of each head; zero is no bound. A client
	// that sends nothing at all is bounded the first time only.
	HeadTimeout time.Duration
	// Limits bound each head.
	Limits http1wire.Limits

	mu       sync.Mutex
	conns    map[*conn]struct{} // guarded by mu
	draining atomic.Bool        // set with mu held

	minding  atomic.Bool
	minders  sync.WaitGroup
	unminded chan struct{} // closed by Close
	once     sync.Once
}

// NewServer makes a Server that has yet to get its fields.
func NewServer() *Server {
	return &Server{conns: map[*conn]struct{}{}, unminded: make(chan struct{})}
}

// Serve answers the requests that come on nc until one of both sides ends it.
// ctx is the parent of their contexts. It closes nc, unless the Handler has
// taken it over.
func (s *Server) Serve(ctx context.Context, nc net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ctx, undo := withAborter(ctx)
	defer undo()
	c := newConn(ctx, cancel, s, nc)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		if !c.hijacked {
			_ = nc.Close()
		}
	}()
	c.serve()
}

// Drain ends connections that wait for a next request, and the others after the
// answers that they wait for.
func (s *Server) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining.Store(true)
	for c := range s.conns {
		c.drain()
	}
}

// Close waits for the Server's own goroutine; every Serve has returned.
func (s *Server) Close() {
	s.once.Do(func() { close(s.unminded) })
	s.minders.Wait()
}
