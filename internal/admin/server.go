package admin

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server is a running HTTP server on a listener it owns.
type Server struct {
	http     *http.Server
	stopping context.CancelFunc // ends what goes on until the client leaves
	running  chan struct{}
	requests sync.WaitGroup

	mu     sync.Mutex
	closed bool // no request begins any more
}

const (
	// readTimeout bounds reading a request, and a connection without one.
	readTimeout = 10 * time.Second
	// answerTimeout bounds working on a request and writing its answer.
	answerTimeout = time.Minute
	// maxHeader bounds a request's header.
	maxHeader = 8 << 10
	// maxConnections bounds the memory and descriptors that clients can take
	// from the broker: further ones wait for one of these to end.
	maxConnections = 64
)

// Serve serves h on l until Close. The server's clients are local, but not
// trusted: their number, the size of headers and times are bounded.
func Serve(l net.Listener, h http.Handler, log *slog.Logger) *Server {
	life, stopping := context.WithCancel(context.Background())
	s := &Server{running: make(chan struct{}), stopping: stopping}
	s.http = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s.begin() {
				defer s.requests.Done()
				h.ServeHTTP(w, r)
			}
		}),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       readTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return life },
		ConnContext:       withCaller,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	go func() {
		defer close(s.running)
		_ = s.http.Serve(newBounded(l, maxConnections)) // always an error: ErrServerClosed after Close
	}()
	return s
}

// Close ends the server and returns when its requests have ended. Those under
// way have until ctx ends; then their connections are closed. Streams and
// profiles end at once.
func (s *Server) Close(ctx context.Context) {
	s.stopping()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	<-s.running
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.requests.Wait()
}

// begin counts a request, unless Close has stopped counting.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.requests.Add(1)
	}
	return !s.closed
}

// bounded is a listener with a bounded number of open connections.
type bounded struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	end    func()
}

func newBounded(l net.Listener, n int) *bounded {
	b := &bounded{Listener: l, slots: make(chan struct{}, n), closed: make(chan struct{})}
	b.end = sync.OnceFunc(func() { close(b.closed) })
	return b
}

// Accept waits for a free place and then for a connection.
func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.slots <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	free := sync.OnceFunc(func() { <-b.slots })
	c, err := b.Listener.Accept()
	if err != nil {
		free()
		return nil, err
	}
	return &placed{Conn: c, free: free}, nil
}

func (b *bounded) Close() error {
	b.end()
	return b.Listener.Close()
}

// placed gives its place back when it is closed.
type placed struct {
	net.Conn
	free func()
}

// NetConn is the connection below.
func (p *placed) NetConn() net.Conn { return p.Conn }

// Close frees the place.
func (p *placed) Close() error {
	defer p.free()
	return p.Conn.Close()
}
