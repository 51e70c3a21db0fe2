package admin_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"secretless/internal/admin"
)

func TestLevelComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := admin.NewLevel(slog.LevelInfo)
		defer l.Close()
		log := slog.New(slog.NewTextHandler(new(strings.Builder), &slog.HandlerOptions{Level: l}))
		debug := func() bool { return log.Enabled(context.Background(), slog.LevelDebug) }
		l.Set(slog.LevelDebug, time.Minute)
		time.Sleep(59 * time.Second)
		if !debug() {
			t.Error("came back early")
		}
		l.Set(slog.LevelDebug, time.Minute) // once more: the first end is void
		time.Sleep(59 * time.Second)
		if !debug() {
			t.Error("the first end counted")
		}
		time.Sleep(2 * time.Second)
		if r := l.Report(); debug() || r.Level != "info" || r.Until != nil {
			t.Errorf("did not come back: %+v", r)
		}
		l.Set(slog.LevelError, 0)
		l.Set(slog.LevelDebug, time.Second)
		if r := l.Report(); r.Then != "error" {
			t.Errorf("then %+v", r)
		}
		l.Close()
		time.Sleep(time.Minute)
		if l.Set(slog.LevelWarn, 0); l.Level() != slog.LevelDebug {
			t.Error("changed after Close")
		}
	})
}

func TestRecent(t *testing.T) {
	var out strings.Builder
	r := admin.NewRecent()
	log := slog.New(r.Handler(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError})))
	db := log.With("service", "db", "connector", "pg")
	db.Info("not kept")
	db.Warn("connection failed", "connection", 7, "error", errors.New("no such host"))
	log.WithGroup("g").Error("broken", "at", 3)
	got, more := r.After(0)
	if len(got) != 2 {
		t.Fatalf("kept %+v", got)
	}
	if e := got[0]; e.Seq != 1 || e.Level != "warn" || e.Service != "db" || e.Text != "connection failed: no such host connection=7" || e.Time.IsZero() {
		t.Errorf("got %+v", e)
	}
	if e := got[1]; e.Service != "" || e.Level != "error" || e.Text != "broken at=3" {
		t.Errorf("got %+v", e)
	}
	if text := out.String(); strings.Contains(text, "connection failed") || !strings.Contains(text, "broken g.at=3") {
		t.Errorf("logged %q", text)
	}

	db.Warn(strings.Repeat("ü", 1000))
	<-more
	if got, _ = r.After(2); len(got) != 1 || len(got[0].Text) > 520 || !strings.HasSuffix(got[0].Text, "ü…") {
		t.Errorf("got %+v", got)
	}

	// A flood of one service leaves the others' last words.
	for n := range 1000 {
		log.Warn(fmt.Sprint("flood ", n), "service", "loud")
	}
	if got, _ = r.After(0); len(got) != 256 || got[255].Text != "flood 999" || got[0].Text != "flood 744" {
		t.Errorf("%d entries, from %q", len(got), got[0].Text)
	}
	if got = r.Of("db"); len(got) != 2 || got[0].Seq != 1 {
		t.Errorf("of db: %+v", got)
	}
	if got = r.Of("loud"); len(got) != 8 {
		t.Errorf("%d of loud", len(got))
	}
	if got = r.Last(); len(got) != 3 || got[2].Service != "loud" || got[0].Service != "" {
		t.Errorf("last %+v", got)
	}
	for n := range 3000 {
		log.Warn("x", "service", fmt.Sprint("s", n))
	}
	if got = r.Last(); len(got) != 1024 {
		t.Errorf("%d services", len(got))
	}
}
