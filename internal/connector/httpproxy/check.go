package httpproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/target"
)

// Check resolves the credentials and connects, with TLS where the credential
// would be sent with it, to every host that is named. It sends no request:
// which one would be harmless is not known.
func (c *Connector) Check(ctx context.Context, s *connector.Session) (report connector.Report, err error) {
	set, err := s.Credentials.Get(ctx)
	if err != nil {
		return report, &connector.Failure{Kind: connector.KindCredentials, Err: err}
	}
	set.Wipe()
	var targets, protected []string
	for _, svc := range c.services {
		p := newPool(c.env, guardOf(c.env, svc), false, s.ConnectTimeout, 0, c.via)
		for _, o := range svc.named() {
			targets = append(targets, o.Authority())
			report.Target = few(targets)
			how, err := p.tryHost(ctx, o)
			if err != nil {
				return report, err
			}
			protected = append(protected, how)
			report.TLS = protected[0]
		}
	}
	report.Detail = "connected, no request was sent"
	if len(targets) == 0 {
		report.Detail = "credentials only: the service names no single host"
	}
	return report, nil
}

// named are the origins of hosts that are no patterns.
func (s *service) named() (list []origin.Origin) {
	for _, p := range s.hosts {
		if p.wildcard || p.host == s.placeholder {
			continue
		}
		scheme, text := "https", p.host
		if strings.Contains(text, ":") {
			text = "[" + text + "]"
		}
		if p.port != 0 {
			text += fmt.Sprintf(":%d", p.port)
		}
		o, err := origin.Parse(scheme, text)
		if err != nil {
			continue // it was parsed once
		}
		if plain, err := origin.Parse("http", text); err == nil && !s.forceSSL && (s.allowPlaintext || isLocal(o)) {
			o = plain
		}
		list = append(list, o)
	}
	return list
}

// whetherTLS is how long a target may take to show that it speaks TLS, where a
// client could ask it for http as well.
const whetherTLS = 2 * time.Second

// tryHost connects to a host. Where clients may use http, too, it is the target
// that says which of both it speaks: one that shows a certificate speaks https.
func (p *pool) tryHost(ctx context.Context, o origin.Origin) (string, error) {
	if o.Secure() {
		return p.try(ctx, o)
	}
	how, err := p.try(ctx, o)
	secure := o.WithScheme("https")
	if err != nil || secure.Address() != o.Address() {
		return how, err
	}
	ctx, cancel := context.WithTimeout(ctx, whetherTLS)
	defer cancel()
	protected, err := p.try(ctx, secure)
	if _, shown := errors.AsType[*tls.CertificateVerificationError](err); err == nil || shown {
		return protected, err
	}
	return how, nil
}

// try connects to o and says how the connection is protected.
func (p *pool) try(ctx context.Context, o origin.Origin) (string, error) {
	conn, ahead, err := p.tunnel(ctx, o)
	if err != nil {
		return "", checkFailure(o, err)
	}
	defer func() { _ = conn.Close() }()
	if !o.Secure() {
		return "none", nil
	}
	config := p.env.tlsConfig()
	config.ServerName = o.Host()
	upgraded, err := target.Handshake(ctx, database.Replay(conn, ahead), config, o.Authority())
	if err != nil {
		return "", checkFailure(o, err)
	}
	state := upgraded.ConnectionState()
	return fmt.Sprintf("%s, %s until %s", tls.VersionName(state.Version), o.Host(), state.PeerCertificates[0].NotAfter.Format("2006-01-02")), nil
}

// checkFailure is the failure that a client would see as a status.
func checkFailure(o origin.Origin, err error) error {
	kind := connector.KindConnect
	p := ofTarget(o.String(), err)
	_, notTLS := errors.AsType[*net.OpError](err)
	reached, ok := errors.AsType[*target.Error](err)
	switch {
	case p.status == http.StatusGatewayTimeout:
		kind = connector.KindTimeout
	case p.kind == "dns_error":
		kind = connector.KindResolve
	case strings.HasPrefix(p.kind, "tls_"), ok && reached.Op == target.OpTLS && !notTLS:
		kind = connector.KindTLS
	}
	return &connector.Failure{Kind: kind, Err: &told{p.text, err}}
}

// told is an error with the text that a client would be told.
type told struct {
	text string
	err  error
}

// Error is that text.
func (t *told) Error() string { return t.text }

// Unwrap returns the error that it is about.
func (t *told) Unwrap() error { return t.err }

func few(list []string) string {
	const most = 3
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}
