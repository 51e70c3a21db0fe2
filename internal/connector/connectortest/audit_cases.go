package connectortest

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"secretless/internal/audit"
	"secretless/internal/audit/audittest"
)

// withoutTarget is an audit that is required and cannot write who the target is.
type withoutTarget struct{ audit.Sink }

func (s withoutTarget) Require(ctx context.Context, e audit.Event) error {
	if e.Type == audit.Connected {
		return errors.New("disk full")
	}
	return s.Sink.Require(ctx, e)
}

// A client whose target cannot be recorded is told so in its protocol, and
// nothing that it sent early reaches the target.
func testTargetNotRecorded(t *testing.T, s Suite) {
	st := newStand(t, s, options{sink: func(s audit.Sink) audit.Sink { return withoutTarget{s} }})
	var reached atomic.Bool
	st.double.setHandle(func(c net.Conn) {
		if st.double.login(c) == nil {
			n, _ := io.Copy(io.Discard, c)
			reached.Store(n > 0)
		}
	})
	_, err := s.Login(st.dial(), []byte("early"))
	r, ok := errors.AsType[*Refusal](err)
	if !ok || !strings.Contains(r.Text, "audit") {
		t.Errorf("the client got %v, want an error of its protocol about the audit", err)
	}
	eventually(t, "the target connection to end", func() bool { return st.double.open.Load() == 0 })
	if reached.Load() {
		t.Error("the target got what the client sent")
	}
}

// checkTargets looks for the target of every connection that something passed
// over.
func checkTargets(t *testing.T, lines []audittest.Line) {
	t.Helper()
	known := map[uint64]bool{}
	for _, l := range lines {
		switch l.Event {
		case audit.Connected:
			target, _ := l.All["target"].(map[string]any)
			known[l.Connection] = target["address"] != "" && target["remote"] != nil
		case audit.Closed:
			passed := l.All["bytes_to_target"] != 0.0 && l.All["bytes_to_client"] != 0.0
			if passed && !known[l.Connection] {
				t.Errorf("no target in the audit for %v", l.All)
			}
		}
	}
}
