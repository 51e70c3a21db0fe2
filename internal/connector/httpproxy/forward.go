package httpproxy

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/secret"
	watch "secretless/internal/stage"
	"secretless/internal/wire/http1wire"
)

// withCredential sends the request to the origin that its service is bound to.
func (x *exchange) withCredential() {
	s, to := x.bound.service, x.bound.to
	if x.r.Method == http.MethodTrace || x.r.Method == "TRACK" {
		x.tell(refusal(http.StatusMethodNotAllowed, "%s asks the target to repeat the request, which has the credential in it", x.r.Method))
		return
	}
	if !to.Secure() && !s.allowPlaintext && !isLocal(to) {
		x.tell(refusal(http.StatusForbidden, "refusing to send the credential unencrypted to %s; set forceSSL: true to reach the target over https, or allowPlaintext: true", to))
		return
	}
	if x.stage.session.Audited() {
		if err := x.stage.session.Asked(x.life, x.event()); err != nil {
			x.tell(&problem{http.StatusServiceUnavailable, "proxy_internal_error", err.Error()})
			return
		}
		defer x.record()
	}
	ctx := x.ctx
	trace := x.informing()
	out := x.outgoing()
	resp, r, err := x.attempt(ctx, out, true)
	if err == nil && r == nil { // rejected, and there is something better
		watch.Mark(ctx, watch.Rotation)
		again := x.outgoing()
		if read := resp.sent; read != nil {
			again.Body, again.Length = io.NopCloser(bytes.NewReader(read)), int64(len(read))
		}
		resp, r, err = x.attempt(ctx, again, false)
	}
	if err == nil && s.redact && x.asksForPieces() && isPiece(x.r.Method, resp.Response) {
		_ = resp.Body.Close()
		resp, r, err = x.attempt(ctx, x.whole(), false)
	}
	trace.stop()
	if err != nil {
		x.failed(err)
		return
	}
	hidden := r.Hidden()
	if !s.redact {
		hidden = nil
	}
	x.tls = resp.TLS
	x.respond(resp.Response, hidden)
}

// asksForPieces says whether the client may ask for a range. It could ask for a
// text that repeats the credential piece by piece, so that no piece holds all of
// it: such a request is made once more without its range, which a server may
// always answer with the whole, and which must not do anything twice.
func (x *exchange) asksForPieces() bool {
	return (x.r.Method == http.MethodGet || x.r.Method == http.MethodHead) && !x.r.HasBody()
}

// whole is the request without its range.
func (x *exchange) whole() *message.Request {
	out := x.outgoing()
	removeRanges(&out.Fields)
	return out
}

// removeRanges knows the name that Apache takes for the same.
func removeRanges(f *http1wire.Fields) {
	for _, name := range []string{"Range", "Request-Range", "If-Range"} {
		f.Del(name)
	}
}

// reply is what an attempt ended with; sent is the body that went out, where it
// was kept.
type reply struct {
	*message.Response
	sent []byte
}

// targetError is an error of the way to the target, all others being about
// credentials.
type targetError struct{ error }

func (e targetError) Unwrap() error { return e.error }

// attempt adds the credential to out and sends it. After a 401 that a newer
// credential may answer for, it returns neither request nor error.
func (x *exchange) attempt(ctx context.Context, out *message.Request, mayRetry bool) (reply, *auth.Request, error) {
	r, set, err := x.authenticated(ctx, out)
	if err != nil {
		return reply{}, nil, err
	}
	defer set.Wipe()
	if x.bound.service.redact {
		x.informer.hide(r.Hidden())
	}
	p := x.connector.running.Load().pools[x.bound.service]
	x.shared = x.shared || !p.direct(r.To(), isGRPC(x.r))
	resp, err := p.send(ctx, r, isGRPC(x.r), x.informer.inform())
	if err != nil {
		return reply{}, nil, targetError{err}
	}
	if mayRetry && resp.Code == http.StatusUnauthorized && x.renew(ctx, r, set) && r.Repeatable() {
		_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
		_ = resp.Body.Close()
		sent, _ := r.BodyRead()
		return reply{sent: sent}, nil, nil
	}
	return reply{Response: resp}, r, nil
}

// authenticated resolves the credentials and adds them to out, bounded by the
// time to connect: the client waits. What a token endpoint refused may have been
// replaced since it was cached: then it is fetched and tried once more. The
// caller wipes the set.
func (x *exchange) authenticated(ctx context.Context, out *message.Request) (*auth.Request, *secret.Set, error) {
	if t := x.stage.session.ConnectTimeout; t > 0 {
		limit := &patience{Context: ctx, until: time.Now().Add(t)}
		defer limit.stop()
		ctx = limit
	}
	r, set, err := x.authenticateOnce(ctx, out)
	if connector.KindOf(err) == connector.KindRejected && x.stale(set) {
		set.Wipe()
		r, set, err = x.authenticateOnce(ctx, out)
	}
	if err != nil {
		set.Wipe()
		return nil, nil, err
	}
	return r, set, nil
}

// authenticateOnce returns the set with the error of an authenticator.
func (x *exchange) authenticateOnce(ctx context.Context, out *message.Request) (*auth.Request, *secret.Set, error) {
	set, err := x.bound.secrets(ctx, x.stage.session)
	if err != nil {
		return nil, nil, err
	}
	x.bound.service.removeOverrides(out)
	r := &x.first.auth
	if out != &x.first.out {
		r = new(auth.Request)
	}
	x.bound.request(r, out, set)
	if x.bound.service.redact {
		r.Identity()
	}
	ctx, end := watch.Begin(ctx, watch.Authenticate, "")
	err = x.bound.service.authenticator.Authenticate(ctx, r)
	end(err)
	return r, set, err
}

// renew lets go of credentials that the target answered 401 to, and says
// whether there may be others.
func (x *exchange) renew(ctx context.Context, r *auth.Request, set *secret.Set) bool {
	s := x.bound.service
	if s.renewer != nil && s.renewer.Renew(ctx, r) {
		return true
	}
	return x.stale(set)
}

// stale drops cached credentials. A 401 may be about what the client asked for:
// not each of them is worth a lookup.
func (x *exchange) stale(set *secret.Set) bool {
	return x.bound.service.refresh.allow(time.Now()) && x.bound.credentials(x.stage.session).Drop(set)
}

// refreshEvery is how often a service's credentials are dropped after a 401.
const refreshEvery = time.Second

type refreshLimit struct {
	mu   sync.Mutex
	last time.Time
}

func (l *refreshLimit) allow(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.last) < refreshEvery {
		return false
	}
	l.last = now
	return true
}

// without forwards a request that no service matches.
func (x *exchange) without() {
	if x.isLoop() {
		return
	}
	trace := x.informing()
	p := x.connector.stranger(x.stage.session)
	x.shared = !p.direct(x.asked.origin, isGRPC(x.r))
	resp, err := p.sendTo(x.ctx, x.asked.origin, x.outgoing(), isGRPC(x.r), trace.inform())
	trace.stop()
	if err != nil {
		x.failed(targetError{err})
		return
	}
	x.respond(resp, nil)
}

// failed tells the client why there is no answer of the target.
func (x *exchange) failed(err error) {
	if x.body != nil && x.body.failed.Load() {
		x.tell(refusal(http.StatusBadRequest, "the body of the request cannot be read to its end"))
		return
	}
	if t, ok := err.(targetError); ok { //nolint:errorlint // never wrapped
		to := x.bound.to
		if x.bound.service == nil {
			to = x.asked.origin
		}
		x.tell(ofTarget(to.String(), t.error))
		return
	}
	x.tell(ofCredentials(err))
}

// informer passes 1xx answers on, possibly from a goroutine of the transport.
type informer struct {
	x      *exchange
	mu     sync.Mutex
	over   bool
	hidden []string
}

func (x *exchange) informing() *informer {
	if x.informer.x = x; x.inform == nil {
		x.inform = x.informer.pass
	}
	return &x.informer
}

// inform is nil for HTTP/1.0, which does not know them.
func (i *informer) inform() message.Inform {
	if i.x.r.Major == 1 && i.x.r.Minor == 0 {
		return nil
	}
	return i.x.inform
}

func (i *informer) pass(code int, fields *http1wire.Fields) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.over || code == http.StatusSwitchingProtocols {
		return nil
	}
	if code == http.StatusContinue && i.x.body == nil {
		return nil
	}
	removeHopByHop(fields)
	newHider(i.hidden).fields(*fields)
	i.x.w.WriteHead(code, *fields)
	return nil
}

// hide keeps texts from the client in what is passed on from now on.
func (i *informer) hide(texts []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hidden = texts
}

// stop waits for one that is being passed on: from here on the answer's header
// is the caller's alone.
func (i *informer) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
}
