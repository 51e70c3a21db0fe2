package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"secretless/internal/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "rewrite the golden files")

var sample = Event{
	Time: time.Date(2026, 11, 23, 20, 0, 0, 123456789, time.FixedZone("", 3600)),
	Type: Opened, Service: "orders-db", Connector: "pg", Connection: 7,
	Listener: "127.0.0.1:5432", Remote: "127.0.0.1:40312",
	Peer: peer.Identity{Known: true, UID: 1000, GID: 100, PID: 4711, Executable: "/usr/bin/psql"},
}

func variant(f func(*Event)) Event {
	e := sample
	f(&e)
	return e
}

// People and programs read these lines: a change of the format is a change for
// them.
func TestLineFormat(t *testing.T) {
	var got bytes.Buffer
	for _, e := range []Event{
		sample,
		variant(func(e *Event) {
			e.Type, e.ToTarget, e.ToClient, e.Duration = Closed, 1<<40, 0, 1500*time.Millisecond
		}),
		variant(func(e *Event) { e.Type, e.Reason, e.Duration = Closed, "idle", time.Hour }),
		variant(func(e *Event) { e.Type, e.Reason, e.Duration = Failed, "rejected", 0 }),
		variant(func(e *Event) { e.Type, e.Reason, e.Peer = Refused, "limit", peer.Identity{} }),
		variant(func(e *Event) { e.Type, e.Reason, e.Peer = Refused, "peer", peer.Identity{Known: true} }),
		variant(func(e *Event) { e.Service, e.Peer.Executable = "a\"b\n<&>", "/tmp/\xff\u2028x\x00" }),
		variant(func(e *Event) { e.Type, e.Detail = Used, "SHA256:abc\nsigned" }),
		{Time: sample.Time, Type: Lost, Count: 3},
	} {
		got.Write(e.Line())
	}
	golden := filepath.Join("testdata", "lines.jsonl")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
	}
}

func FuzzLineIsOneObject(f *testing.F) {
	f.Add("orders-db", "/usr/bin/psql", "limit")
	f.Add("a\nb", "\xff\x00", "\u2028{}")
	f.Fuzz(func(t *testing.T, service, executable, reason string) {
		line := variant(func(e *Event) { e.Service, e.Peer.Executable, e.Reason = service, executable, reason }).Line()
		if bytes.Count(line, []byte("\n")) != 1 || line[len(line)-1] != '\n' || !json.Valid(line) {
			t.Errorf("line %q", line)
		}
	})
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(path, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s, err := Open("file://"+path, Options{Required: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Require(t.Context(), sample); err != nil {
			t.Fatal(err)
		}
		if b, _ := os.ReadFile(path); !bytes.HasSuffix(b, sample.Line()) {
			t.Errorf("not written when Require returned: %q", b)
		}
		s.Record(sample)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	b, _ := os.ReadFile(path)
	if want := "before\n" + strings.Repeat(string(sample.Line()), 4); string(b) != want {
		t.Errorf("got %q", b)
	}
}

func TestFileModeAndErrors(t *testing.T) {
	dir := t.TempDir()
	s, err := Open("file://"+dir+"/new", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if i, err := os.Stat(dir + "/new"); err != nil || i.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v, %v", i.Mode(), err)
	}
	for spec, want := range map[string]string{
		"":                           "use file:///absolute/path",
		"syslog":                     "use file:///absolute/path",
		"file://relative/path":       "use file:///absolute/path",
		"file:relative":              "use file:///absolute/path",
		"https://example.com/x":      "use file:///absolute/path",
		"file://" + dir:              "is not a regular file",
		"file://" + dir + "/none/x":  "its directory does not exist",
		"file://" + dir + "/new/sub": "not a directory",
	} {
		if s, err := Open(spec, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", spec, err, want)
			if err == nil {
				_ = s.Close()
			}
		}
	}
}

// Log rotation moves the file away; the next line starts a new one.
func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	f, err := openFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write := func(s string) {
		t.Helper()
		if _, err := io.WriteString(f, s); err != nil {
			t.Fatal(err)
		}
	}
	write("one\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write("still one\n")
	f.checked = time.Now().Add(-2 * time.Second)
	write("two\n")
	old, _ := os.ReadFile(path + ".1")
	now, _ := os.ReadFile(path)
	if string(old) != "one\nstill one\n" || string(now) != "two\n" {
		t.Errorf("old %q, new %q", old, now)
	}
}

// output fails or stalls on demand.
type output struct {
	mu    sync.Mutex
	b     bytes.Buffer
	fail  error
	short int
	stall chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	if o.stall != nil {
		<-o.stall
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil {
		return o.b.Write(p[:o.short])
	}
	return o.b.Write(p)
}

func (o *output) Close() error { return nil }

func (o *output) set(err error, short int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail, o.short = err, short
}

// failing makes a Write that honours io.Writer: less than all with an error.
type failing struct{ *output }

func (f failing) Write(p []byte) (int, error) {
	n, _ := f.output.Write(p)
	f.mu.Lock()
	defer f.mu.Unlock()
	return n, f.fail
}

func TestLossIsMarkedAndTornLineEnded(t *testing.T) {
	out := &output{}
	var log bytes.Buffer
	w := newWriter(failing{out}, Options{Required: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	full := errors.New("disk full")
	out.set(full, 5)
	for range 2 {
		if err := w.Require(t.Context(), sample); !errors.Is(err, full) {
			t.Errorf("err = %v", err)
		}
		out.set(full, 0)
	}
	out.set(nil, 0)
	if err := w.Require(t.Context(), sample); err != nil {
		t.Error(err)
	}
	if err := w.Require(t.Context(), sample); err != nil {
		t.Error(err)
	}
	_ = w.Close()
	lines := strings.SplitAfter(out.b.String(), "\n")
	if len(lines) != 5 || lines[0] != "{\"tim\n" || !strings.Contains(lines[1], `"event":"lost","count":2`) ||
		lines[2] != string(sample.Line()) || lines[3] != string(sample.Line()) {
		t.Errorf("lines: %q", lines)
	}
	if n := strings.Count(log.String(), "audit events lost"); n != 1 {
		t.Errorf("logged %d times: %s", n, &log)
	}
}

func TestStalledOutputHoldsUpNobody(t *testing.T) {
	out := &output{stall: make(chan struct{})}
	w := newWriter(out, Options{})
	for range queueLength + 1000 {
		w.Record(sample)
	}
	if err := w.Require(t.Context(), sample); err != nil {
		t.Errorf("not required, but: %v", err)
	}
	close(out.stall)
	w.Record(sample)
	_ = w.Close()
	if n := bytes.Count(out.b.Bytes(), []byte("\n")); n < queueLength {
		t.Errorf("%d lines of a queue of %d", n, queueLength)
	}
	if !strings.Contains(out.b.String(), `"event":"lost"`) {
		t.Error("the loss is not marked")
	}
}

func TestRequireGivesUpWithItsContext(t *testing.T) {
	out := &output{stall: make(chan struct{})}
	w := newWriter(out, Options{Required: true})
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the client has gone")
	cancel(gone)
	if err := w.Require(ctx, sample); !errors.Is(err, gone) {
		t.Errorf("err = %v", err)
	}
	close(out.stall)
	_ = w.Close()
	if err := w.Require(t.Context(), sample); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	w.Record(sample)
}

func TestOrderIsKept(t *testing.T) {
	out := &output{}
	w := newWriter(out, Options{})
	var want bytes.Buffer
	for i := range 1000 {
		e := variant(func(e *Event) { e.Connection = uint64(i + 1) })
		w.Record(e)
		want.Write(e.Line())
	}
	_ = w.Close()
	if out.b.String() != want.String() {
		t.Error("lines are missing or out of order")
	}
}

func TestStandardStreams(t *testing.T) {
	for _, spec := range []string{"stdout", "stderr"} {
		s, err := Open(spec, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	var s Sink = Nop{}
	s.Record(sample)
	if err := errors.Join(s.Require(t.Context(), sample), s.Close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stdout.Stat(); err != nil {
		t.Errorf("standard output was closed: %v", err)
	}
}
