package broker

import (
	"context"
	"errors"
	"strings"
	"testing"

	"secretless/internal/connector"
	"secretless/internal/stage"
)

// At level debug the log shows each step of a handshake with how it ended, and
// nothing of what an error says.
func TestStepsInLog(t *testing.T) {
	steps := connectorFunc(func(ctx context.Context, s *connector.Session) error {
		_, end := stage.Begin(ctx, stage.Lookup, "vault")
		end(nil)
		_, end = stage.Begin(ctx, stage.Dial, "db:5432")
		end(&connector.Failure{Kind: connector.KindConnect, Err: errors.New("s3cret-canary")})
		return hello(ctx, s)
	})
	b := newBroker(t)
	b.mustApply(t, service("svc", steps))
	c := dial(t, "tcp", b.address(t, "svc"))
	c.expect("here")
	c.expectEnd()
	for _, want := range []string{`msg="handshake step" service=svc connector=`, "connection=1 step=lookup duration=", " about=vault", "step=dial", " about=db:5432 failed=connect"} {
		if !strings.Contains(b.log.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	if strings.Contains(b.log.String(), "canary") {
		t.Error("the log quotes an error")
	}
}

// Requests that cannot be served are failures of the service, and a flood of them
// is none of the log.
func TestUnservedRequests(t *testing.T) {
	const flood = loggedEnds + 7
	b := newBroker(t)
	b.mustApply(t, service("svc", connectorFunc(func(_ context.Context, s *connector.Session) error {
		for range flood {
			s.Unserved(connector.Unserved{What: "GET http://a/", Status: 502, Text: "a refuses connections"})
		}
		_, err := s.Client.Write([]byte("done\n"))
		return err
	})))
	c := dial(t, "tcp", b.address(t, "svc"))
	c.expect("done")
	c.expectEnd()
	line := `level=WARN msg="request not served" service=svc connector=`
	if n := strings.Count(b.log.String(), line); n != loggedEnds {
		t.Errorf("%d lines:\n%s", n, b.log)
	}
	if !strings.Contains(b.log.String(), `connection=1 request="GET http://a/" status=502 error="a refuses connections"`) {
		t.Errorf("the log:\n%s", b.log)
	}
	if s := b.Status()[0]; s.RequestsFailed != flood || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
}

// The client's end of most unix sockets has no name, and none is logged.
func TestNoRemoteOfUnixClients(t *testing.T) {
	b := newBroker(t)
	sock := t.TempDir() + "/s"
	b.mustApply(t, with(service("svc", connectorFunc(hello)), func(s *Service) { s.Listen = []Address{{"unix", sock}} }))
	c := dial(t, "unix", sock)
	c.expect("here")
	c.expectEnd()
	eventually(t, "the end in the log", func() bool { return strings.Contains(b.log.String(), "connection closed") })
	if strings.Contains(b.log.String(), "remote=") {
		t.Errorf("the log:\n%s", b.log)
	}
}
