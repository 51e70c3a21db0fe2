package httpproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/target"
)

// connect answers CONNECT. Where a service could match what is asked inside,
// the broker is the tunnel's end; other tunnels are passed through untouched
// or refused.
func (x *exchange) connect() {
	if x.r.Major != 1 || !x.stage.tunnel.IsZero() {
		x.tell(refusal(http.StatusMethodNotAllowed, "CONNECT inside of a tunnel, or over HTTP/2, is not supported"))
		return
	}
	if x.r.Length != 0 {
		x.tell(refusal(http.StatusBadRequest, "CONNECT has no body: what follows it belongs to the tunnel"))
		return
	}
	o, err := origin.Parse("https", x.r.Target)
	if err != nil {
		x.tell(refusal(http.StatusBadRequest, "CONNECT: %v", err))
		return
	}
	x.asked.origin = o
	if x.isLoop() {
		return
	}
	if s := x.covering(o); s != nil {
		x.bound.service = s // for the message
		x.intercept(o)
		return
	}
	if !x.connector.router.forward {
		x.tell(refusal(http.StatusForbidden, "no service matches %s; add its host to the hosts of a service, or set unmatched: forward to let such tunnels through without a credential", o.Authority()))
		return
	}
	x.tunnel(o)
}

// isLoop refuses what the broker has sent itself.
func (x *exchange) isLoop() bool {
	for via := range x.r.Fields.All("Via") {
		if strings.Contains(via, x.connector.via) {
			x.tell(refusal(http.StatusLoopDetected, "the broker's own HTTPS_PROXY or HTTP_PROXY leads back to it; unset it for the broker, or add targets to NO_PROXY"))
			return true
		}
	}
	return false
}

// covering looks for services of both schemes: some clients use tunnels for
// plain HTTP as well.
func (x *exchange) covering(o origin.Origin) *service {
	if s := x.connector.router.covering(o); s != nil {
		return s
	}
	plain, err := origin.Parse("http", o.Address())
	if err != nil {
		return nil
	}
	return x.connector.router.covering(plain)
}

// tunnel connects the client with the target and hands both to the relay.
func (x *exchange) tunnel(o origin.Origin) {
	conn, ahead, err := x.connector.stranger(x.stage.session).tunnel(x.ctx, o)
	if err != nil {
		x.tell(ofTarget(o.Authority(), err))
		return
	}
	reached := connector.Target{Address: o.Address(), Anonymous: true}
	if addr := conn.RemoteAddr(); addr != nil {
		reached.Remote = addr.String()
	}
	if err := x.stage.session.Reached(x.life, reached); err != nil {
		_ = conn.Close()
		x.tell(&problem{http.StatusServiceUnavailable, "proxy_internal_error", err.Error()})
		return
	}
	x.open(func(early []byte) error {
		return x.stage.session.Relay(connector.Handoff{Target: conn, FromClient: early, FromTarget: ahead})
	}, func() { _ = conn.Close() })
}

// open takes the connection over from the server, says that the tunnel is there
// and goes on with next, which gets what the client has sent early.
func (x *exchange) open(next func(early []byte) error, undo func()) {
	_, early, err := x.w.Hijack()
	if err != nil {
		undo()
		x.tell(&problem{http.StatusInternalServerError, "proxy_internal_error", "the connection cannot become a tunnel"})
		return
	}
	x.answered, x.status, x.shared = true, http.StatusOK, true
	if _, err := io.WriteString(x.stage.session.Client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		undo()
		x.stage.finish(nil)
		return
	}
	x.stage.finish(func() error { return next(early) })
}

// intercept makes the broker the end of the tunnel.
func (x *exchange) intercept(o origin.Origin) {
	if x.connector.authority == nil {
		x.noAuthority()
		return
	}
	certificate, err := x.connector.authority.Certificate(o.Host())
	switch {
	case errors.Is(err, ErrNoAuthority):
		x.noAuthority()
		return
	case err != nil:
		x.tell(&problem{http.StatusServiceUnavailable, "proxy_configuration_error", fmt.Sprintf("making a certificate for %s: %v", o.Host(), err)})
		return
	}
	session, c := x.stage.session, x.connector
	ctx := x.stage.ctx
	x.open(func(early []byte) error { return c.serveTunnel(ctx, session, o, certificate, early) }, func() {})
}

func (x *exchange) noAuthority() {
	x.tell(refusal(http.StatusMethodNotAllowed, "adding a credential to https:// requests needs a certificate authority of the broker, and there is none: make one with secretless ca init, or let the client ask for an http:// URL and set forceSSL: true"))
}

// serveTunnel serves the requests inside of a tunnel, whose first byte tells
// TLS from plain HTTP.
func (c *Connector) serveTunnel(ctx context.Context, s *connector.Session, o origin.Origin, certificate *tls.Certificate, early []byte) error {
	early, err := firstByte(ctx, s, early)
	if err != nil || len(early) == 0 {
		return err
	}
	const handshakeRecord = 22
	if early[0] != handshakeRecord {
		if o, err = origin.Parse("http", o.Address()); err != nil {
			return err
		}
	}
	st := newStage(ctx, s.Client, s, o, early)
	stop := context.AfterFunc(ctx, st.interrupt)
	defer stop()
	conn := net.Conn(st)
	if o.Secure() {
		if conn, err = st.encrypt(ctx, certificate); err != nil {
			return err
		}
	}
	if st.speaksHTTP2(conn) {
		st.serveHTTP2(c.run(s).h2, conn)
	} else {
		st.serve(c.run(s).server, conn)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// firstByte waits for the client to begin; none is its end.
func firstByte(ctx context.Context, s *connector.Session, early []byte) ([]byte, error) {
	if len(early) > 0 {
		return early, nil
	}
	if s.HandshakeTimeout > 0 {
		_ = s.Client.SetReadDeadline(time.Now().Add(s.HandshakeTimeout))
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Client.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 1)
	n, err := s.Client.Read(buf)
	switch {
	case n > 0:
		_ = s.Client.SetReadDeadline(time.Time{})
		return buf[:n], nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, io.EOF):
		return nil, nil
	}
	return nil, database.Untold(connector.KindTimeout, errors.New("the client opened a tunnel and sent nothing"))
}

// encrypt is the server's side of TLS in a tunnel.
func (st *stage) encrypt(ctx context.Context, certificate *tls.Certificate) (*tls.Conn, error) {
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{*certificate},
		NextProtos:   []string{"h2", "http/1.1"},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			// A wrong name is answered with 421 later: as an alert, it would be
			// a riddle.
			if name, err := origin.Host(hello.ServerName); hello.ServerName != "" && (err != nil || name != st.tunnel.Host()) {
				st.misnamed = hello.ServerName
			}
			return nil, nil
		},
	}
	if t := st.session.HandshakeTimeout; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	upgraded := tls.Server(st, config)
	err := upgraded.HandshakeContext(ctx)
	if err == nil {
		return upgraded, nil
	}
	const what = "TLS with the client in its tunnel to "
	if target.IsAlert(err) {
		return nil, database.Untold(connector.KindTLS, fmt.Errorf("%s%s: the client does not accept the broker's certificate (%s); let it trust the broker's CA: secretless ca trust says how", what, st.tunnel.Authority(), brief(err)))
	}
	return nil, database.Untold(connector.KindProtocol, fmt.Errorf("%s%s: %s", what, st.tunnel.Authority(), brief(err)))
}
