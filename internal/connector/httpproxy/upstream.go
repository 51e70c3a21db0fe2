package httpproxy

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"

	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/target"
)

// tunnel connects to o for a client that goes on alone, through the upstream
// proxy where one is set. ahead is what came behind the proxy's answer.
func (p *pool) tunnel(ctx context.Context, o origin.Origin) (conn net.Conn, ahead []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.connect)
	defer cancel()
	proxy, err := p.env.upstream(&url.URL{Scheme: "https", Host: o.Authority()})
	if err != nil {
		return nil, nil, err
	}
	if proxy == nil {
		conn, err = p.dial(ctx, "tcp", o.Address())
		return conn, nil, err
	}
	if err := p.guard.checkLiteral(o); err != nil {
		return nil, nil, err
	}
	if conn, err = p.dialProxy(ctx, proxy); err != nil {
		return nil, nil, err
	}
	defer target.Watch(ctx, conn)()
	ahead, err = p.askProxy(conn, proxy, o)
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return conn, ahead, nil
}

func (p *pool) dialProxy(ctx context.Context, proxy *url.URL) (net.Conn, error) {
	if proxy.Scheme != "http" && proxy.Scheme != "https" {
		return nil, fmt.Errorf("an upstream proxy of scheme %s cannot carry tunnels; use http or https", proxy.Scheme)
	}
	conn, err := p.dial(ctx, "tcp", proxyAddress(proxy.String()))
	if err != nil || proxy.Scheme == "http" {
		return conn, err
	}
	config := p.env.tlsConfig()
	config.ServerName = proxy.Hostname()
	upgraded, err := target.Handshake(ctx, conn, config, proxy.Host)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return upgraded, nil
}

var errProxyRefuses = errors.New("the upstream proxy refuses the tunnel")

// askProxy sends CONNECT and reads the answer.
func (p *pool) askProxy(conn net.Conn, proxy *url.URL, o origin.Origin) (ahead []byte, err error) {
	r := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: o.Address()}, Host: o.Address(), Header: p.auto.ProxyConnectHeader.Clone()}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		r.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := r.Write(conn); err != nil {
		return nil, err
	}
	in := bufio.NewReader(&limited{conn, maxResponseHeader})
	resp, err := http.ReadResponse(in, r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: it answered %d", errProxyRefuses, resp.StatusCode)
	}
	peeked, _ := in.Peek(in.Buffered())
	return slices.Clone(peeked), nil
}

var errHeadTooLarge = errors.New("the head of the upstream proxy's answer is too large")

// limited bounds what is read of an answer's head.
type limited struct {
	net.Conn
	left int
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errHeadTooLarge
	}
	n, err := l.Conn.Read(b[:min(len(b), l.left)])
	l.left -= n
	return n, err
}
