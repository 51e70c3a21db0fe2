package stage_test

import (
	"context"
	"errors"
	"testing"

	"secretless/internal/stage"
)

type listener struct{ heard []string }

type inner struct{}

func (l *listener) Begin(ctx context.Context, s stage.Stage, about string) (context.Context, func(error)) {
	l.heard = append(l.heard, s.String()+" "+about)
	return context.WithValue(ctx, inner{}, s), func(err error) { l.heard = append(l.heard, s.String()+" "+err.Error()) }
}

func (l *listener) Mark(_ context.Context, e stage.Event) { l.heard = append(l.heard, e.String()) }

func TestListenerHears(t *testing.T) {
	l := &listener{}
	ctx, end := stage.Begin(stage.With(t.Context(), l), stage.Dial, "db:5432")
	if ctx.Value(inner{}) != stage.Dial {
		t.Error("the stage's context is not the listener's")
	}
	stage.Mark(ctx, stage.Rotation)
	stage.Mark(ctx, stage.Panic)
	end(errors.New("refused"))
	want := []string{"dial db:5432", "rotation", "panic", "dial refused"}
	if len(l.heard) != len(want) {
		t.Fatalf("heard %q", l.heard)
	}
	for i := range want {
		if l.heard[i] != want[i] {
			t.Errorf("heard %q, want %q", l.heard[i], want[i])
		}
	}
}

func TestNobodyListens(t *testing.T) {
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		inner, end := stage.Begin(ctx, stage.Lookup, "vault")
		stage.Mark(inner, stage.Rotation)
		end(nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if got, _ := stage.Begin(ctx, stage.TLS, ""); got != ctx {
		t.Error("another context")
	}
}

func TestNames(t *testing.T) {
	for s, want := range map[stage.Stage]string{stage.Lookup: "lookup", stage.Authenticate: "authenticate", stage.Dial: "dial", stage.TLS: "tls", -1: "unknown", 4: "unknown"} {
		if s.String() != want {
			t.Errorf("%d is %q, want %q", s, s, want)
		}
	}
}
