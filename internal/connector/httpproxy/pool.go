package httpproxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/connector/httpproxy/http1"
	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/sockio"
	"secretless/internal/wire/http1wire"
)

const (
	idlePerOrigin     = 64
	idleTotal         = 256
	idleConnTime      = 90 * time.Second
	continueTime      = 2 * time.Second // a target without 100 Continue gets the body then
	maxResponseHeader = 256 << 10
	maxResponseLines  = 4 << 10
	socketBuffer      = 8 << 10
	maxTargetFrame    = 64 << 10
	streamWindow      = 1 << 20
)

// pool holds the connections to targets of one service, or of the requests
// that no service matches. A connection that was made for one service, with
// its rules about addresses, never carries a request of another.
type pool struct {
	env   *environment
	guard *guard
	// plainUpstream lets http:// requests through an upstream proxy, which
	// reads them: only for those without a credential.
	plainUpstream bool
	connect       time.Duration
	via           string // tells the broker that a request was there before

	plain *http1.Targets  // HTTP/1.1 without TLS; nil where it cannot be
	auto  *http.Transport // HTTP/1.1, and HTTP/2 where TLS negotiates it
	h2c   *http.Transport // HTTP/2 without TLS
}

func newPool(env *environment, g *guard, plainUpstream bool, connect, response time.Duration, via string) *pool {
	p := &pool{env: env, guard: g, plainUpstream: plainUpstream, connect: connect, via: via}
	p.auto = &http.Transport{
		Proxy:                  p.upstream,
		ProxyConnectHeader:     http.Header{"Via": {via}},
		DialContext:            p.dial,
		TLSClientConfig:        env.tlsConfig(),
		TLSHandshakeTimeout:    connect,
		DisableCompression:     true,
		MaxIdleConns:           idleTotal,
		MaxIdleConnsPerHost:    idlePerOrigin,
		IdleConnTimeout:        idleConnTime,
		ResponseHeaderTimeout:  response,
		ExpectContinueTimeout:  continueTime,
		MaxResponseHeaderBytes: maxResponseHeader,
		WriteBufferSize:        socketBuffer,
		ReadBufferSize:         socketBuffer,
		ForceAttemptHTTP2:      true,
		HTTP2: &http.HTTP2Config{
			MaxReadFrameSize: maxTargetFrame, MaxReceiveBufferPerStream: streamWindow,
			SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second,
		},
	}
	if sockio.Looks {
		p.plain = &http1.Targets{
			Dial: p.dial, ResponseTimeout: response, ContinueTimeout: continueTime,
			Limits:        http1wire.Limits{Bytes: maxResponseHeader, Lines: maxResponseLines},
			IdlePerOrigin: idlePerOrigin, IdleTotal: idleTotal, IdleTime: idleConnTime,
		}
	}
	p.h2c = p.auto.Clone()
	p.h2c.Proxy = nil
	p.h2c.Protocols = new(http.Protocols)
	p.h2c.Protocols.SetUnencryptedHTTP2(true)
	return p
}

// send sends r to the origin that it is bound to, wherever its URL may point
// by now.
func (p *pool) send(ctx context.Context, r *auth.Request, h2c bool, inform message.Inform) (*message.Response, error) {
	return p.sendTo(ctx, r.To(), r.Outgoing(), h2c, inform)
}

func (p *pool) sendTo(ctx context.Context, to origin.Origin, out *message.Request, h2c bool, inform message.Inform) (*message.Response, error) {
	out.URL.Scheme, out.URL.Host, out.URL.User = to.Scheme(), to.Authority(), nil
	out.Host = to.Authority()
	out.Close = out.Close || logsConnectionIn(out.Fields)
	if p.direct(to, h2c) {
		return p.plain.RoundTrip(ctx, to, out, inform)
	}
	if inform != nil { // whoever takes them is to count them
		come := 0
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			if come++; come > http1.MaxInterim {
				return http1.ErrTooManyInterim
			}
			var fields http1wire.Fields
			fields.AddHeader(header)
			return inform(code, &fields)
		}})
	}
	if p.plainUpstream && !to.Secure() {
		if proxy, _ := p.env.upstream(&out.URL); proxy != nil { // an error comes again
			out.Fields.Add("Via", p.via)
		}
	}
	by := p.auto
	if h2c && !to.Secure() {
		by = p.h2c
	}
	resp, err := by.RoundTrip(out.HTTP(ctx))
	if err != nil {
		return nil, err
	}
	return message.FromResponse(resp), nil
}

// direct says whether a request goes out without net/http.
func (p *pool) direct(to origin.Origin, h2c bool) bool {
	return p.plain != nil && !h2c && !to.Secure() && (!p.plainUpstream || len(p.env.proxies) == 0)
}

// logsConnectionIn says whether the target may remember the client for as long
// as the connection lasts (RFC 4559): nobody else's request may come on it then.
func logsConnectionIn(f http1wire.Fields) bool {
	for credentials := range f.All("Authorization") {
		scheme, _, _ := strings.Cut(credentials, " ")
		if strings.EqualFold(scheme, "NTLM") || strings.EqualFold(scheme, "Negotiate") {
			return true
		}
	}
	return false
}

func (p *pool) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return p.guard.dial(ctx, network, address, p.connect)
}

// upstream is the upstream proxy for a request.
func (p *pool) upstream(r *http.Request) (*url.URL, error) {
	if r.URL.Scheme == "http" && !p.plainUpstream {
		return nil, nil
	}
	proxy, err := p.env.upstream(r.URL)
	if err != nil || proxy == nil {
		return nil, err
	}
	o, err := origin.Parse(r.URL.Scheme, r.URL.Host)
	if err != nil {
		return nil, err
	}
	return proxy, p.guard.checkLiteral(o)
}

func (p *pool) close() {
	if p.plain != nil {
		p.plain.Close()
	}
	p.auto.CloseIdleConnections()
	p.h2c.CloseIdleConnections()
}

// guardOf holds connections for s to what its rules name.
func guardOf(env *environment, s *service) *guard {
	g := &guard{proxies: env.proxies}
	for _, p := range s.hosts {
		if addr, err := netip.ParseAddr(p.host); err == nil && !p.wildcard {
			g.named = append(g.named, embedded(addr))
		}
	}
	return g
}

// ownTimeout bounds a whole request of an authenticator.
const ownTimeout = 20 * time.Second

// ownClient is for the requests of authenticators.
func ownClient(env *environment) *http.Client {
	if env == nil {
		env = &environment{upstream: func(*url.URL) (*url.URL, error) { return nil, nil }}
	}
	p := newPool(env, &guard{proxies: env.proxies}, false, ownTimeout, ownTimeout, "")
	p.auto.ProxyConnectHeader = nil
	return &http.Client{
		Transport:     secureOnly{p.auto},
		Timeout:       ownTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// secureOnly refuses to send secrets in clear to another machine.
type secureOnly struct{ next *http.Transport }

var errPlain = errors.New("refusing to send a secret unencrypted: the URL must be https")

// RoundTrip is that of the transport, for https and this machine.
func (s secureOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	o, err := origin.Parse(r.URL.Scheme, r.URL.Host)
	if err != nil {
		return nil, err
	}
	if !o.Secure() && !isLocal(o) {
		return nil, errPlain
	}
	return s.next.RoundTrip(r)
}

// CloseIdleConnections lets go of the connections.
func (s secureOnly) CloseIdleConnections() { s.next.CloseIdleConnections() }
