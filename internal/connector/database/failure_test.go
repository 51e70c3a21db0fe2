package database_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/target"
)

func TestTargetFailureKinds(t *testing.T) {
	ended := func(cause error) context.Context {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(cause)
		return ctx
	}
	live := context.Background()
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		kind connector.Kind
		text string
	}{
		"a failure stays":  {live, database.Failure(connector.KindRejected, "refused"), connector.KindRejected, "refused"},
		"timeout":          {live, os.ErrDeadlineExceeded, connector.KindTimeout, "did not answer in time"},
		"closed":           {live, io.ErrUnexpectedEOF, connector.KindTargetLost, "closed the connection"},
		"reset":            {live, syscall.ECONNRESET, connector.KindTargetLost, "closed the connection"},
		"alert":            {live, &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}, connector.KindTLS, "bad certificate"},
		"other":            {live, errors.New("cable cut"), connector.KindTargetLost, "cable cut"},
		"stop":             {ended(nil), io.EOF, connector.KindStopping, "stops"},
		"handshake over":   {ended(database.Failure(connector.KindTimeout, "handshake timeout")), io.EOF, connector.KindTimeout, "handshake timeout"},
		"client left":      {ended(database.Failure(connector.KindClientGone, "left")), io.EOF, connector.KindClientGone, "left"},
		"deadline of dial": {ended(context.DeadlineExceeded), io.EOF, connector.KindTimeout, "did not answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			err := database.TargetFailure(c.ctx, "db:1", "logging in", c.err)
			if connector.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v; want %s with %q", connector.KindOf(err), err, c.kind, c.text)
			}
		})
	}
}

func TestDialFailureKinds(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		kind connector.Kind
	}{
		"name":    {&target.Error{Op: target.OpResolve, Err: errors.New("no")}, connector.KindResolve},
		"connect": {&target.Error{Op: target.OpConnect, Err: syscall.ECONNREFUSED}, connector.KindConnect},
		"tls":     {&target.Error{Op: target.OpTLS, Err: errors.New("no")}, connector.KindTLS},
		"timeout": {&target.Error{Op: target.OpTLS, Err: os.ErrDeadlineExceeded}, connector.KindTimeout},
		"other":   {io.EOF, connector.KindTargetLost},
	} {
		if kind := connector.KindOf(database.DialFailure(context.Background(), "db:1", c.err)); kind != c.kind {
			t.Errorf("%s: %s, want %s", name, kind, c.kind)
		}
	}
}

func TestWhatAClientIsTold(t *testing.T) {
	if f := database.ToTell(errors.New("password=canary")); f == nil || f.Kind != connector.KindInternal || strings.Contains(f.Error(), "canary") {
		t.Errorf("the text of an error of the broker's own reaches the client: %v", f)
	}
	if f := database.ToTell(database.ClientGone(io.EOF)); f != nil {
		t.Errorf("a client that is gone is told %v", f)
	}
	if f := database.ToTell(database.Untold(connector.KindProtocol, io.EOF)); f != nil {
		t.Errorf("what cannot be told is told: %v", f)
	}
	if f := database.ToTell(database.ProtocolError("bad")); f == nil || f.Error() != "bad" {
		t.Errorf("got %v", f)
	}
}

func TestQuoteIsBoundedAndPrintable(t *testing.T) {
	got := database.Quote("a\nb\x00c\xff" + strings.Repeat("é", 300))
	if !strings.HasPrefix(got, "a b c?é") || len(got) > 310 || !strings.HasSuffix(got, "é…") {
		t.Errorf("got %q", got)
	}
	// Other scripts' control characters steer terminals as well: CSI as one
	// character, the reversal of the writing direction, a line's end.
	if got := database.Quote("a\u009b2J\u202eb\u2028c Ω日"); got != "a 2J b c Ω日" {
		t.Errorf("got %q", got)
	}
}
