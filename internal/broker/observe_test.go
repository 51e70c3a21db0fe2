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
