package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"secretless/internal/admin"
)

// stream opens an event stream and returns its lines.
func stream(t *testing.T, client *admin.Client, path string) (net.Conn, *bufio.Scanner) {
	t.Helper()
	c, err := net.Dial("unix", client.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%+v, %v", resp, err)
	}
	return c, bufio.NewScanner(resp.Body)
}

func next(t *testing.T, s *bufio.Scanner) (e admin.Event) {
	t.Helper()
	if !s.Scan() {
		t.Fatalf("the stream ended: %v", s.Err())
	}
	if err := json.Unmarshal(s.Bytes(), &e); err != nil || e.Entry == nil {
		t.Fatalf("%s: %v", s.Text(), err)
	}
	return e
}

func TestEvents(t *testing.T) {
	recent := admin.NewRecent()
	log := slog.New(recent.Handler(slog.DiscardHandler))
	client, server := control(t, func(o *admin.Operations) { o.Recent = recent })
	log.Warn("before")
	_, lines := stream(t, client, "/v1/events")
	if e := next(t, lines); e.Text != "before" || e.Seq != 1 {
		t.Errorf("got %+v", e)
	}
	log.Error("after", "service", "db")
	if e := next(t, lines); e.Text != "after" || e.Service != "db" || e.Missed != 0 {
		t.Errorf("got %+v", e)
	}
	_, second := stream(t, client, "/v1/events?after=1")
	if e := next(t, second); e.Text != "after" {
		t.Errorf("got %+v", e)
	}
	if list, err := client.Errors(t.Context()); err != nil || len(list) != 2 {
		t.Errorf("got %+v, %v", list, err)
	}
	if code, body := request(t, client, "GET", "/v1/errors?service=db", ""); code != 200 || !strings.Contains(body, "after") || strings.Contains(body, "before") {
		t.Errorf("%d %s", code, body)
	}

	// Streams end with the server, which waits for nothing else.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	server.Close(ctx)
	if ctx.Err() != nil {
		t.Error("a stream held the server up")
	}
	if lines.Scan() {
		t.Errorf("after the end: %s", lines.Text())
	}
}

// Readers that do not read hold up neither the log nor other requests, and are
// not let in without number.
func TestDeafReaders(t *testing.T) {
	recent := admin.NewRecent()
	log := slog.New(recent.Handler(slog.DiscardHandler))
	client, _ := control(t, func(o *admin.Operations) { o.Recent = recent })
	for range 8 {
		stream(t, client, "/v1/events")
	}
	if code, body := request(t, client, "GET", "/v1/events", ""); code != 503 {
		t.Errorf("%d %s", code, body)
	}
	for n := range 20_000 { // more than all buffers hold
		log.Warn(strings.Repeat("x", 500), "n", n)
	}
	if _, err := client.Status(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestProfiles(t *testing.T) {
	client, server := control(t, nil)
	for _, name := range []string{"goroutine", "heap", "allocs", "threadcreate"} {
		if data, err := client.Profile(t.Context(), name, 0); err != nil || len(data) < 100 || data[0] != 0x1f || data[1] != 0x8b {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
	for _, name := range []string{"mutex", "block", "cpu", "trace"} {
		if data, err := client.Profile(t.Context(), name, 1); err != nil || len(data) < 50 {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
	if rate := runtime.SetMutexProfileFraction(-1); rate != 0 {
		t.Errorf("one of %d waits for locks is noted on", rate)
	}

	// One at a time, and none keeps the server from stopping.
	const occupied = "another profile is being made: try again when it is done"
	first := make(chan error, 1)
	go func() {
		for {
			_, err := client.Profile(t.Context(), "cpu", 60)
			if err == nil || !strings.HasSuffix(err.Error(), occupied) { // by one of those below
				first <- err
				return
			}
		}
	}()
	for end := time.Now().Add(10 * time.Second); ; {
		_, err := client.Profile(t.Context(), "goroutine", 0)
		if err != nil && strings.HasSuffix(err.Error(), occupied) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("two at a time: %v", err)
		}
	}
	was := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	server.Close(ctx)
	if err := <-first; err == nil || time.Since(was) > 20*time.Second {
		t.Errorf("ended with %v after %v", err, time.Since(was))
	}
}
