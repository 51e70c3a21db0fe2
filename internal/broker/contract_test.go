package broker

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"secretless/internal/audit"
	"secretless/internal/connector"
)

// starter is a connector that has to start first.
type starter struct {
	connector.Connector
	starts int
	err    error
}

func (s *starter) Start() error {
	s.starts++
	return s.err
}

func TestConnectorsStartBeforeTheyListen(t *testing.T) {
	b := newBroker(t)
	good := &starter{Connector: hello}
	svc := with(service("a", good), func(s *Service) { s.Digest = "1" })
	b.mustApply(t, svc)
	b.mustApply(t, svc) // carried over: it has started
	if good.starts != 1 {
		t.Errorf("started %d times", good.starts)
	}
	bad := &starter{Connector: hello, err: errors.New("no room for a host key")}
	err := b.Apply(t.Context(), []*Service{with(service("b", bad), func(s *Service) { s.Digest = "2" })})
	if err == nil || !strings.Contains(err.Error(), `service "b"`) || !strings.Contains(err.Error(), "no room for a host key") {
		t.Errorf("got %v", err)
	}
	if b.status("a").Name == "" || b.status("b").Name != "" {
		t.Error("a failed start has changed what runs")
	}
}

func TestUsesAreAudited(t *testing.T) {
	b := newBroker(t)
	b.mustApply(t, service("agent", connectorFunc(func(ctx context.Context, s *connector.Session) error {
		s.Established()
		if err := s.Used(ctx, "SHA256:abc"); err != nil {
			return err
		}
		_, _ = io.WriteString(s.Client, "signed\n")
		// It fails from now on.
		b.audit.fail.Store(true)
		if err := s.Used(ctx, "SHA256:def"); err == nil {
			t.Error("used without a record")
		}
		return nil
	})))
	dial(t, "tcp", b.address(t, "agent")).expect("signed")
	used := b.audit.of(t, audit.Used, 1)
	closed := b.audit.of(t, audit.Closed, 1)
	if len(used) != 1 || used[0].Detail != "SHA256:abc" || used[0].Service != "agent" || used[0].Connection != closed[0].Connection || !used[0].Peer.Known {
		t.Errorf("got %+v", used)
	}
}
