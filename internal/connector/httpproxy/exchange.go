package httpproxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	watch "secretless/internal/stage"
)

// exchange is one request and its answer.
type exchange struct {
	connector *Connector
	stage     *stage
	w         http.ResponseWriter
	r         *http.Request
	rc        http.ResponseController
	began     time.Time
	ctx       context.Context // of all work on the request
	trace     watch.Parent    // what the target is told of its trace

	asked     asked
	bound     bound  // zero for requests without a service
	upgrading string // the protocol that the client wants to change to
	body      *clientBody
	informer  informer
	named     string // what has made
	answered  bool   // the head of the answer was written
	status    int
	toClient  int64
	tls       *tls.ConnectionState // of the connection that the answer came from
}

// what is the URL without its query, for logs and messages.
func (x *exchange) what() string {
	if x.named == "" {
		path := x.r.URL.EscapedPath()
		if path == "" {
			path = "/"
		}
		x.named = brieflyQuoted(x.asked.origin.String() + path)
	}
	return x.named
}

func brieflyQuoted(text string) string {
	const longest = 200
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return database.Clean(text)
}

// tell answers with a problem, unless an answer has begun.
func (x *exchange) tell(p *problem) {
	who := "secretless: "
	if s := x.bound.service; s != nil {
		who += "service " + strings.TrimSpace(brieflyQuoted(s.name)) + ": "
	}
	text := who + database.Clean(p.text)
	x.log().Info("request not served", "request", x.r.Method+" "+x.what(), "status", p.status, "error", p.text)
	if x.answered {
		x.abort()
		return
	}
	x.answered, x.status = true, p.status
	h := x.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Proxy-Status", "secretless; error="+p.kind)
	h.Set("Content-Length", strconv.Itoa(len(text)+1))
	x.w.WriteHeader(p.status)
	n, _ := io.WriteString(x.w, text+"\n")
	x.toClient += int64(n)
	x.letGo()
}

func (x *exchange) log() interface {
	Info(msg string, args ...any)
	Warn(msg string, args ...any)
	Debug(msg string, args ...any)
} {
	return x.stage.session.Log
}

// abort breaks an answer off, so that the client does not take it for whole:
// the connection of HTTP/1.1, the stream of HTTP/2.
func (x *exchange) abort() { _ = x.rc.SetWriteDeadline(time.Unix(1, 0)) }

// letGo ends a body that nobody will read: the client may send on for ever.
func (x *exchange) letGo() {
	if x.r.ContentLength == 0 || x.body != nil && x.body.whole() {
		return
	}
	_ = x.rc.SetReadDeadline(time.Unix(1, 0))
}

// outgoing makes the request for the target. Its header is a copy, because the
// request may have to be made once more. The values are not: nobody changes
// them in place.
func (x *exchange) outgoing(ctx context.Context) *http.Request {
	h := maps.Clone(x.r.Header)
	x.upgrading = upgradeOf(h)
	outgoingHeader(h)
	x.tellTrace(h)
	u := *x.r.URL
	out := x.r.WithContext(ctx)
	out.URL, out.Header, out.Trailer, out.Body = &u, h, x.announced(), nil
	out.Proto, out.ProtoMajor, out.ProtoMinor = "HTTP/1.1", 1, 1
	out.RequestURI, out.RemoteAddr, out.TransferEncoding, out.TLS, out.Close = "", "", nil, nil, false
	if x.r.ContentLength != 0 && x.r.Body != nil && x.r.Body != http.NoBody {
		if x.body == nil {
			x.body = &clientBody{from: x.r.Body, left: x.r.ContentLength}
			if x.r.ProtoMajor == 1 {
				_ = x.rc.EnableFullDuplex() // a target may answer while it reads
			}
		}
		x.body.trailer, x.body.came = out.Trailer, x.r.Trailer
		out.Body = x.body
	}
	return out
}

// clientBody is the body that a client sends. It remembers whether a failure to
// send it was the client's.
type clientBody struct {
	from   io.ReadCloser
	left   int64 // negative where the length is unknown
	read   atomic.Int64
	ended  atomic.Bool
	failed atomic.Bool
	// trailer gets those of came that are among its keys, at the end.
	trailer, came http.Header
}

// announced are the names of the trailers that the request says it will have.
// Others are not passed on: what was added to the header replaces only these.
func (x *exchange) announced() http.Header {
	if len(x.r.Trailer) == 0 {
		return nil
	}
	t := http.Header{}
	for name := range x.r.Trailer {
		t[name] = nil
	}
	removeHopByHop(t)
	return t
}

// Read reads from the client.
func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	total := b.read.Add(int64(n))
	if err == io.EOF {
		for name := range b.trailer {
			b.trailer[name] = b.came[name]
		}
	}
	switch {
	case err == io.EOF, b.left >= 0 && total >= b.left:
		b.ended.Store(true)
	case err != nil:
		b.failed.Store(true)
	}
	return n, err
}

// Close does nothing: the server closes the body when the request is done.
func (b *clientBody) Close() error { return nil }

func (b *clientBody) whole() bool { return b.ended.Load() }

func (x *exchange) sent() int64 {
	if x.body == nil {
		return 0
	}
	return x.body.read.Load()
}

// record writes the answer into the audit.
func (x *exchange) record() {
	s := x.stage.session
	if !s.Audited() || x.bound.service == nil {
		return
	}
	e := x.event()
	e.Status, e.ToTarget, e.ToClient, e.Duration = max(x.status, 1), x.sent(), x.toClient, time.Since(x.began)
	s.Answered(e)
}

func (x *exchange) event() connector.Exchange {
	e := connector.Exchange{
		What: x.r.Method + " " + x.what(), TLS: x.tls,
		Method: x.r.Method, Scheme: x.bound.to.Scheme(), Host: x.bound.to.Authority(), Path: cmp.Or(x.r.URL.EscapedPath(), "/"),
	}
	if s := x.bound.service; s.kind != "" {
		e.Service, e.Kind = s.name, s.kind
	}
	return e
}

// isGRPC says whether the request is one that only HTTP/2 can carry.
func isGRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}
