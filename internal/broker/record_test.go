package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http/httptest"
	"testing"

	"secretless/internal/audit"
	"secretless/internal/connector"
)

func TestTargetIsAuditedBeforeTheHandOff(t *testing.T) {
	target := newTarget(t, "t")
	for name, conn := range map[string]connector.Connector{
		"by the connector": connectorFunc(func(ctx context.Context, s *connector.Session) error {
			if err := s.Reached(ctx, connector.Target{Address: "db:1", Remote: target.ln.Addr().String()}); err != nil {
				return err
			}
			return (&relayTo{target: target.ln.Addr().String()}).ServeConn(ctx, s)
		}),
		"by the broker": &relayTo{target: target.ln.Addr().String()},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t)
			refs := []audit.Reference{{Name: "password", From: "vault", Get: "db#password"}}
			b.mustApply(t, with(service("svc", conn), func(s *Service) {
				s.References = map[string][]audit.Reference{"svc": refs}
			}))
			c := dial(t, "tcp", b.address(t, "svc"))
			c.say("a")
			c.expect("t")
			e := b.audit.of(t, audit.Connected, 1)[0]
			if e.Target == nil || e.Target.Address == "" || e.Connection == 0 || len(e.Credentials) != 1 || e.Credentials[0] != refs[0] {
				t.Errorf("audit: %+v", e)
			}
			b.audit.only.Store(new(audit.Connected))
			b.audit.fail.Store(true)
			c = dial(t, "tcp", b.address(t, "svc"))
			c.say("a")
			c.expectEnd()
			if e := b.audit.of(t, audit.Failed, 1)[0]; e.Reason != "audit" {
				t.Errorf("audit: %+v", e)
			}
		})
	}
}

func TestCertificateInTheAudit(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	leaf := server.Certificate()
	b := newBroker(t)
	b.mustApply(t, service("svc", connectorFunc(func(ctx context.Context, s *connector.Session) error {
		state := &tls.ConnectionState{Version: tls.VersionTLS13, PeerCertificates: []*x509.Certificate{leaf}}
		err := s.Reached(ctx, connector.Target{Address: "db:1", TLS: state, Verified: true, Anonymous: true})
		s.Established()
		_, _ = io.WriteString(s.Client, "done\n")
		return err
	})))
	dial(t, "tcp", b.address(t, "svc")).expect("done")
	e := b.audit.of(t, audit.Connected, 1)[0]
	got := e.Target.TLS
	if !e.Target.Verified || got.Version != "TLS 1.3" || got.Subject != leaf.Subject.String() || got.Issuer != leaf.Issuer.String() ||
		len(got.Names) < 2 || len(got.SHA256) != 64 || e.Credentials != nil {
		t.Errorf("%+v", got)
	}
}

// changing is credentials that change when the test says so.
type changing struct {
	connector.Credentials
	tell func(service string, names []string)
}

func (c *changing) OnChange(f func(service string, names []string)) { c.tell = f }

func TestRotationIsAudited(t *testing.T) {
	b := newBroker(t)
	refs := []audit.Reference{{Name: "password", From: "vault", Get: "db#password"}, {Name: "username", From: "literal"}}
	creds := &changing{}
	b.mustApply(t, with(service("svc", connectorFunc(func(_ context.Context, s *connector.Session) error {
		s.OnRotated()
		return nil
	})), func(s *Service) {
		s.Credentials, s.References = creds, map[string][]audit.Reference{"svc": refs}
	}))
	creds.tell("svc", []string{"password"})
	e := b.audit.of(t, audit.Rotated, 1)[0]
	if e.Reason != audit.Changed || e.Service != "svc" || len(e.Credentials) != 1 || e.Credentials[0] != refs[0] || e.Connection != 0 {
		t.Errorf("audit: %+v", e)
	}
	dial(t, "tcp", b.address(t, "svc")).expectEnd()
	if e := b.audit.of(t, audit.Rotated, 2)[1]; e.Reason != audit.Rejected || e.Connection == 0 || len(e.Credentials) != 2 {
		t.Errorf("audit: %+v", e)
	}
}
