package httpproxy

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/connector/httpproxy/origin"
	watch "secretless/internal/stage"
)

// serve answers one request. A panic ends this request alone; its value, which
// could be anything, is not shown.
func (c *Connector) serve(ctx context.Context, w message.Writer, r *message.Request) {
	st, ok := ctx.Value(stageKey{}).(*stage)
	if !ok || !st.enter() {
		return
	}
	defer st.leave()
	x := st.exchange(r)
	x.connector, x.stage, x.w, x.r, x.life, x.began = c, st, w, r, ctx, time.Now()
	x.watch()
	defer x.end()
	defer func() {
		if p := recover(); p != nil {
			x.panicked(p)
		}
	}()
	st.established()
	x.answer()
}

func (x *exchange) panicked(p any) {
	x.shared = true
	watch.Mark(x.ctx, watch.Panic)
	connector.LogPanic(x.stage.session.Log, p)
	if x.answered {
		x.abort()
		return
	}
	x.tell(&problem{http.StatusInternalServerError, "proxy_internal_error", "internal error: see the broker's log for its stack"})
}

// answer finds out what is asked, and by whose rules.
func (x *exchange) answer() {
	if x.r.Major != 1 && len(x.r.Fields) > maxHeaders {
		x.tell(refusal(http.StatusRequestHeaderFieldsTooLarge, "the request has more than %d header lines", maxHeaders))
		return
	}
	if x.r.Method == http.MethodConnect {
		x.connect()
		return
	}
	o, p := x.origin()
	if p != nil {
		x.tell(p)
		return
	}
	x.asked = ask(o, x.r)
	to, err := x.connector.router.route(x.asked, x.r.Fields)
	switch {
	case err != nil && to.service != nil:
		x.bound = to
		x.tell(ofCredentials(err))
	case err != nil:
		x.tell(refusal(http.StatusForbidden, "%v", err))
	case to.service != nil:
		x.bound = to
		x.withCredential()
	case x.connector.router.forward:
		x.without()
	default:
		x.tell(refusal(http.StatusForbidden, "no service matches %s; %s, or set unmatched: forward to let such requests through without a credential", x.what(), x.connector.router.almost(&x.asked)))
	}
}

// origin is where the request goes. Inside of a tunnel that was said when it
// was opened, and everything else must agree with it.
func (x *exchange) origin() (origin.Origin, *problem) {
	if x.r.URL.User != nil {
		return origin.Origin{}, refusal(http.StatusBadRequest, "the URL has user information (user:password@host), which is not accepted: the broker adds credentials")
	}
	if x.r.Target == "*" {
		return origin.Origin{}, refusal(http.StatusBadRequest, "requests for * are about a server, not about something that it serves, and are not passed on")
	}
	if x.r.URL.Opaque != "" { // https:http://other.example/ is sent as it stands
		return origin.Origin{}, refusal(http.StatusBadRequest, "the URL has no // behind its scheme")
	}
	if strings.ContainsAny(x.r.Target, "#\\") {
		return origin.Origin{}, refusal(http.StatusBadRequest, "the URL has a # or \\ in it, which programs understand in different ways")
	}
	if strings.Contains(x.r.Target, " ") { // of HTTP/2, which has no line that it would end
		return origin.Origin{}, refusal(http.StatusBadRequest, "the URL has a blank in it")
	}
	if !x.stage.tunnel.IsZero() {
		return x.tunnelled()
	}
	if x.r.URL.Host == "" || x.r.URL.Scheme == "" {
		return origin.Origin{}, refusal(http.StatusBadRequest, "this is an HTTP proxy, not a web server: %s", howToAsk(x.stage.LocalAddr()))
	}
	o, err := x.stage.parse(x.r.URL.Scheme, x.r.URL.Host)
	if err != nil {
		return o, refusal(http.StatusBadRequest, "the URL's %v", err)
	}
	return o, nil
}

// howToAsk tells a client at local how a proxy is used.
func howToAsk(local net.Addr) string {
	if local.Network() == "unix" {
		return "ask for the whole URL of the target (GET http://host/path HTTP/1.1); programs that know proxies by host and port alone need a listener on tcp://"
	}
	return fmt.Sprintf("name it as the proxy of your program (http_proxy=http://%s) and ask for the URL of the target", database.Clean(local.String()))
}

func (x *exchange) tunnelled() (origin.Origin, *problem) {
	to := x.stage.tunnel
	if x.stage.misnamed != "" {
		return to, refusal(http.StatusMisdirectedRequest, "TLS asked for %s in a tunnel to %s", database.Quote(x.stage.misnamed), to.Authority())
	}
	for host := range x.r.Fields.All("Host") { // of HTTP/2, beside :authority
		if p := x.agrees(to, to.Scheme(), host); p != nil {
			return to, p
		}
	}
	if x.r.URL.Host != "" && x.r.URL.Scheme != "" {
		if p := x.agrees(to, x.r.URL.Scheme, x.r.URL.Host); p != nil {
			return to, p
		}
	}
	return to, x.agrees(to, to.Scheme(), x.r.Host)
}

// agrees says whether authority is the tunnel's.
func (x *exchange) agrees(to origin.Origin, scheme, authority string) *problem {
	o, err := x.stage.parse(scheme, authority)
	if err != nil {
		return refusal(http.StatusBadRequest, "the request's %v", err)
	}
	if o != to {
		return refusal(http.StatusMisdirectedRequest, "the request is for %s in a tunnel to %s", o, to)
	}
	return nil
}
