package broker

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"time"

	"secretless/internal/audit"
	"secretless/internal/connector"
)

// reached notes, for the audit as well, who the target of a connection is. It is called by the
// connection's goroutine, or while that waits.
func (b *Broker) reached(ctx context.Context, h *handshake, t connector.Target) error {
	h.mu.Lock()
	h.target = t.Address
	h.mu.Unlock()
	if !b.audited {
		return nil
	}
	h.reached = true
	e := h.conn.event(audit.Connected)
	e.Target = h.conn.gen.target(t)
	if !t.Anonymous {
		e.Credentials = h.conn.gen.svc.References[e.Service]
	}
	if err := b.audit.Require(ctx, e); err != nil {
		return errUnrecordedTarget
	}
	return nil
}

// used records that a credential is about to be used once more.
func (b *Broker) used(ctx context.Context, c *conn, what string) error {
	e := c.event(audit.Used)
	e.Detail = what
	e.Credentials = c.gen.svc.References[e.Service]
	if err := b.audit.Require(ctx, e); err != nil {
		return errUnrecorded
	}
	c.gen.counters.uses.Add(1)
	return nil
}

// exchange records a request: that it uses a credential, or its answer.
func (b *Broker) exchange(ctx context.Context, c *conn, x connector.Exchange) error {
	e := c.event(audit.Used)
	e.Detail = x.What
	if x.Service != "" {
		e.Service, e.Connector = x.Service, x.Kind
	}
	if x.Method != "" {
		e.Request = &audit.Request{Method: x.Method, Scheme: x.Scheme, Host: x.Host, Path: x.Path}
	}
	if x.Status != 0 {
		e.Type, e.Status, e.Duration = audit.Answered, x.Status, x.Duration
		e.ToTarget, e.ToClient = x.ToTarget, x.ToClient
		if x.TLS != nil {
			e.Target = c.gen.target(connector.Target{Address: x.Host, TLS: x.TLS, Verified: true})
		}
		b.audit.Record(e)
		return nil
	}
	e.Credentials = c.gen.svc.References[e.Service]
	if err := b.audit.Require(ctx, e); err != nil {
		return errUnrecorded
	}
	return nil
}

// rotated records that the target of c has rejected a secret and taken the one
// that was fetched in its place.
func (b *Broker) rotated(c *conn) {
	e := c.event(audit.Rotated)
	e.Reason = audit.Rejected
	e.Credentials = c.gen.svc.References[e.Service]
	b.audit.Record(e)
}

// followChanges records it when a lookup for g brings other values than the one
// before.
func (b *Broker) followChanges(g *generation) {
	changing, ok := g.svc.Credentials.(connector.Changing)
	if !ok || !b.audited {
		return
	}
	changing.OnChange(func(service string, names []string) {
		e := audit.Event{Time: time.Now(), Type: audit.Rotated, Service: service, Connector: g.svc.Kind, Reason: audit.Changed}
		for _, r := range g.svc.References[service] {
			if slices.Contains(names, r.Name) {
				e.Credentials = append(e.Credentials, r)
			}
		}
		b.audit.Record(e)
	})
}

// target is t as the audit has it.
func (g *generation) target(t connector.Target) *audit.Target {
	out := &audit.Target{Address: t.Address, Remote: t.Remote, HostKey: t.HostKey, Verified: t.Verified}
	if t.TLS != nil {
		out.TLS = &audit.TLS{Version: tls.VersionName(t.TLS.Version)}
		if len(t.TLS.PeerCertificates) > 0 {
			out.TLS = g.certificate(t.TLS.PeerCertificates[0], out.TLS.Version)
		}
	}
	return out
}

// shown is a certificate in the audit's words. Most targets show one and the
// same for a long time.
type shown struct {
	cert *x509.Certificate
	text audit.TLS
}

func (g *generation) certificate(cert *x509.Certificate, version string) *audit.TLS {
	last := g.shown.Load()
	if last == nil || !last.cert.Equal(cert) {
		last = &shown{cert: cert, text: describe(cert)}
		g.shown.Store(last)
	}
	text := last.text
	text.Version = version
	return &text
}

func describe(cert *x509.Certificate) audit.TLS {
	sum := sha256.Sum256(cert.Raw)
	names := append([]string(nil), cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	return audit.TLS{
		Subject: cert.Subject.String(), Issuer: cert.Issuer.String(), Names: names,
		SHA256: hex.EncodeToString(sum[:]),
	}
}
