package httpproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/connector/httpproxy/http1"
	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/connector/httpproxy/origin"
)

// stageKey is where a request's context has its stage.
type stageKey struct{}

// stage is one HTTP server on a client's connection: on the listener's, or
// inside of a tunnel that the first one has opened. It is the net.Conn that
// the server gets, and a listener that accepts this one connection.
//
// The client's socket is the broker's: the server's Close ends the stage alone.
type stage struct {
	net.Conn
	session *connector.Session
	ctx     context.Context // the session's
	// tunnel is the origin of a tunnel; zero on the listener.
	tunnel origin.Origin
	// misnamed is set where the client's TLS asked for another name than the
	// tunnel's.
	misnamed string
	told     atomic.Bool            // the broker, that the connection is in use
	parsed   atomic.Pointer[parsed] // the last
	ahead    []byte                 // to be read before anything else; of the reading goroutine
	spare    *exchange              // to be used again; of the goroutine that serves HTTP/1
	next     func() error

	mu       sync.Mutex
	heard    bool
	late     bool // a deadline passed
	asked    bool // a request was read
	accepted bool
	closed   bool
	cut      bool
	cancel   context.CancelFunc // of the requests' contexts
	working  int
	done     chan struct{} // closed with the stage
	idle     *sync.Cond    // working is zero
}

func newStage(ctx context.Context, conn net.Conn, s *connector.Session, tunnel origin.Origin, ahead []byte) *stage {
	st := &stage{Conn: conn, session: s, ctx: ctx, tunnel: tunnel, ahead: ahead, done: make(chan struct{})}
	st.idle = sync.NewCond(&st.mu)
	return st
}

// parsed is an origin as a client has written it: most clients ask for the same
// one again and again.
type parsed struct {
	scheme, authority string
	origin            origin.Origin
}

// parse is origin.Parse.
func (st *stage) parse(scheme, authority string) (origin.Origin, error) {
	if p := st.parsed.Load(); p != nil && p.scheme == scheme && p.authority == authority {
		return p.origin, nil
	}
	o, err := origin.Parse(scheme, authority)
	if err == nil {
		st.parsed.Store(&parsed{strings.Clone(scheme), strings.Clone(authority), o})
	}
	return o, err
}

// stageOf finds the stage of a server's connection.
func stageOf(conn net.Conn) *stage {
	if upgraded, ok := conn.(*tls.Conn); ok {
		conn = upgraded.NetConn()
	}
	st, _ := conn.(*stage)
	return st
}

// connContext is the parent of the contexts of requests; they end when the
// stage is cut off, also where the server reads nothing that could fail.
func (st *stage) connContext(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(context.WithValue(ctx, stageKey{}, st))
	st.mu.Lock()
	defer st.mu.Unlock()
	st.cancel = cancel
	if st.cut {
		cancel()
	}
	return ctx
}

// serve runs server on conn, which is the stage or TLS on it, until the client
// or the server ends it or the connection goes another way.
func (st *stage) serve(server *http1.Server, conn net.Conn) {
	ctx := st.connContext(context.Background())
	defer st.cancelRequests()
	server.Serve(ctx, conn)
}

func (st *stage) cancelRequests() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.next == nil {
		st.cancel()
	}
}

// speaksHTTP2 says whether the client inside of a tunnel uses HTTP/2: it has
// agreed to it by TLS, or without TLS begins with its preface, which is then
// read ahead.
func (st *stage) speaksHTTP2(conn net.Conn) bool {
	if upgraded, ok := conn.(*tls.Conn); ok {
		return upgraded.ConnectionState().NegotiatedProtocol == "h2"
	}
	const preface = "PRI * HTTP/2.0"
	if t := st.session.HandshakeTimeout; t > 0 {
		_ = st.SetReadDeadline(time.Now().Add(t))
		defer func() { _ = st.SetReadDeadline(time.Time{}) }()
	}
	for {
		n := min(len(st.ahead), len(preface))
		if string(st.ahead[:n]) != preface[:n] {
			return false
		}
		if n == len(preface) {
			return true
		}
		have := st.ahead
		st.ahead = nil
		b := make([]byte, len(preface)-n)
		got, err := st.Read(b)
		st.ahead = append(have, b[:got]...)
		if err != nil {
			return false // whoever reads on finds it, too
		}
	}
}

// serveHTTP2 runs server on conn until every request is done.
func (st *stage) serveHTTP2(server *http.Server, conn net.Conn) {
	_ = server.Serve(&once{st, conn})
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.cancel != nil && st.next == nil {
		st.cancel()
	}
	for st.working > 0 {
		st.idle.Wait()
	}
}

// exchange returns an exchange for a request: that of the last one, where the
// connection has one at a time and it is over.
func (st *stage) exchange(r *message.Request) *exchange {
	x := st.spare
	if r.Major != 1 || x == nil {
		return &exchange{}
	}
	st.spare = nil
	return x
}

// verdict is how a stage without a request has ended; nil for one that had
// requests, and for a probe.
func (st *stage) verdict() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case st.asked:
		return nil
	case st.late:
		return database.Failure(connector.KindTimeout, "the client did not send the head of a request within limits.handshakeTimeout")
	case !st.heard:
		return nil
	}
	return database.Failure(connector.KindProtocol, "the client sent no HTTP request")
}

// enter counts a request; false means that the stage has ended.
func (st *stage) enter() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed {
		return false
	}
	st.asked = true
	st.working++
	return true
}

// established tells the broker once that there are requests.
func (st *stage) established() {
	if !st.told.Swap(true) {
		st.session.Established()
	}
}

func (st *stage) leave() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.working--; st.working == 0 {
		st.idle.Broadcast()
	}
}

// finish ends the stage for a connection that goes on in another way, which
// next is; nil ends it altogether. The request that calls it has taken the
// connection over from the server.
func (st *stage) finish(next func() error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.next = next
	st.end()
}

func (st *stage) end() {
	if !st.closed {
		st.closed = true
		close(st.done)
	}
}

// Read reads from the client.
func (st *stage) Read(b []byte) (int, error) {
	if len(st.ahead) > 0 {
		n := copy(b, st.ahead)
		st.ahead = st.ahead[n:]
		return n, nil
	}
	if st.isClosed() {
		return 0, net.ErrClosed
	}
	n, err := st.Conn.Read(b)
	if n > 0 && !st.heard || err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		st.mu.Lock()
		st.heard = st.heard || n > 0
		st.late = st.late || err != nil && !st.closed
		st.mu.Unlock()
	}
	return n, err
}

// Close ends the stage and wakes its reader.
func (st *stage) Close() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.closed {
		_ = st.Conn.SetReadDeadline(time.Unix(1, 0))
	}
	st.end()
	return nil
}

func (st *stage) isClosed() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.closed
}

// interrupt makes reads fail from now on, whatever deadlines the server sets:
// the session's context has ended.
func (st *stage) interrupt() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.cut = true
	if st.cancel != nil {
		st.cancel()
	}
	_ = st.Conn.SetReadDeadline(time.Unix(1, 0))
}

// SetReadDeadline is that of the socket, until the stage is cut off.
func (st *stage) SetReadDeadline(t time.Time) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.cut || st.closed {
		return nil
	}
	return st.Conn.SetReadDeadline(t)
}

// SetWriteDeadline is that of the socket, until the stage is cut off.
func (st *stage) SetWriteDeadline(t time.Time) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.cut && t.IsZero() || st.closed {
		return nil
	}
	return st.Conn.SetWriteDeadline(t)
}

// SetDeadline sets both.
func (st *stage) SetDeadline(t time.Time) error {
	if err := st.SetReadDeadline(t); err != nil {
		return err
	}
	return st.SetWriteDeadline(t)
}

// once is a listener that has one connection.
type once struct {
	st   *stage
	conn net.Conn
}

// Accept returns the connection, and the second time waits for its end.
func (o *once) Accept() (net.Conn, error) {
	o.st.mu.Lock()
	first := !o.st.accepted
	o.st.accepted = true
	o.st.mu.Unlock()
	if first {
		return o.conn, nil
	}
	<-o.st.done
	return nil, net.ErrClosed
}

// Close does nothing: the connection is not the listener's.
func (*once) Close() error { return nil }

// Addr is the listener's address.
func (o *once) Addr() net.Addr { return o.st.LocalAddr() }
