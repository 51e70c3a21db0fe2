package httpproxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/connector/httpproxy/message"
	watch "secretless/internal/stage"
	"secretless/internal/wire/http1wire"
)

// exchange is one request and its answer.
type exchange struct {
	connector *Connector
	stage     *stage
	w         message.Writer
	r         *message.Request
	life      context.Context // ends with the client's connection
	began     time.Time
	ctx       context.Context // of all work on the request
	trace     watch.Parent    // what the target is told of its trace

	asked     asked
	bound     bound  // zero for requests without a service
	upgrading string // the protocol that the client wants to change to
	body      *clientBody
	informer  informer
	hider     hider  // of the answer
	named     string // what has made
	answered  bool   // the head of the answer was written
	status    int
	toClient  int64
	tls       *tls.ConnectionState // of the connection that the answer came from

	first struct { // attempt
		out  message.Request
		auth auth.Request
	}
	attempts int
	shared   bool // something that may live longer than the request knows it
	inform   message.Inform
	served   connector.Served
}

// end ends the exchange. It is used for the connection's next request where
// nobody can know it any more: neither who sends a body, nor net/http, nor who
// has taken the connection over. Nothing of the request is left in it.
func (x *exchange) end() {
	x.unwatch()
	st := x.stage
	if x.shared || x.r.Major != 1 || x.r.Length != 0 {
		return
	}
	room, inform := x.first.out.Fields, x.inform
	room.Reset()
	*x = exchange{inform: inform} // which is a method of x
	x.first.out.Fields = room
	st.spare = x
}

// what is the method and the URL without its query, for logs and messages.
func (x *exchange) what() string {
	if x.named == "" {
		where := cmp.Or(x.r.URL.EscapedPath(), "/")
		if !x.asked.origin.IsZero() {
			where = x.asked.origin.String() + where
		}
		x.named = brieflyQuoted(x.r.Method) + " " + brieflyQuoted(where)
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
	if request := x.what(); p.status < http.StatusInternalServerError || x.life.Err() != nil {
		x.log().Info("request not served", "request", request, "status", p.status, "error", p.text)
	} else {
		x.stage.session.Unserved(connector.Unserved{What: request, Status: p.status, Text: p.text})
	}
	if x.answered {
		x.abort()
		return
	}
	x.writeHead(p.status, http1wire.Fields{
		{Name: "Content-Length", Value: strconv.Itoa(len(text) + 1)},
		{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
		{Name: "Date", Value: time.Now().UTC().Format(http.TimeFormat)},
		{Name: "Proxy-Status", Value: "secretless; error=" + p.kind},
		{Name: "X-Content-Type-Options", Value: "nosniff"},
	})
	n, _ := io.WriteString(x.w, text+"\n")
	x.toClient += int64(n)
	x.letGo()
}

// writeHead begins the answer, the connection's last while the service stops.
func (x *exchange) writeHead(status int, fields http1wire.Fields) {
	x.answered, x.status = true, status
	if x.connector.draining.Load() {
		fields.Add("Connection", "close")
	}
	x.w.WriteHead(status, fields)
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
func (x *exchange) abort() { _ = x.w.SetWriteDeadline(time.Unix(1, 0)) }

// letGo ends a body that nobody will read: the client may send on for ever.
func (x *exchange) letGo() {
	if x.r.Length == 0 || x.body != nil && x.body.whole() {
		return
	}
	_ = x.w.SetReadDeadline(time.Unix(1, 0))
}

// outgoing makes the request for the target. It is made anew where the request
// has to be sent once more: the last one may still be in use.
func (x *exchange) outgoing() *message.Request {
	out := &x.first.out
	if x.attempts++; x.attempts > 1 {
		out = &message.Request{}
	}
	out.Method, out.URL, out.Host, out.Major, out.Minor, out.Length = x.r.Method, x.r.URL, x.r.Host, 1, 1, x.r.Length
	x.upgrading = passOn(&out.Fields, x.r.Fields)
	if s := x.bound.service; s != nil && s.redact && !x.asksForPieces() {
		removeRanges(&out.Fields)
	}
	x.tellTrace(&out.Fields)
	if x.r.HasBody() {
		if x.body == nil {
			x.body = &clientBody{from: x.r, left: x.r.Length}
		}
		x.body.to = out
		out.Body = x.body
		// Others are not passed on: what was added to the head replaces only these.
		out.Announced = x.r.Announced
		out.RemoveTrailers(isHopByHop)
	}
	return out
}

// clientBody is the body that a client sends. It remembers whether a failure to
// send it was the client's.
type clientBody struct {
	from   *message.Request
	left   int64 // negative where the length is unknown
	read   atomic.Int64
	ended  atomic.Bool
	failed atomic.Bool
	// to gets the trailers that have come and were announced to it.
	to *message.Request
}

// Read reads from the client.
func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.from.Body.Read(p)
	total := b.read.Add(int64(n))
	if err == io.EOF {
		b.trailers()
	}
	switch {
	case err == io.EOF, b.left >= 0 && total >= b.left:
		b.ended.Store(true)
	case err != nil:
		b.failed.Store(true)
	}
	return n, err
}

func (b *clientBody) trailers() {
	for _, field := range b.from.Trailer {
		if slices.Contains(b.to.Announced, field.Name) {
			b.to.Trailer = append(b.to.Trailer, field)
		}
	}
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
		What: x.what(), TLS: x.tls,
		Method: x.r.Method, Scheme: x.bound.to.Scheme(), Host: x.bound.to.Authority(), Path: cmp.Or(x.r.URL.EscapedPath(), "/"),
	}
	if s := x.bound.service; s.kind != "" {
		e.Service, e.Kind = s.name, s.kind
	}
	return e
}

// isGRPC says whether the request is one that only HTTP/2 can carry.
func isGRPC(r *message.Request) bool {
	return r.Major == 2 && strings.HasPrefix(r.Fields.Get("Content-Type"), "application/grpc")
}
