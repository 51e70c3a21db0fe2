package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
)

// taken is an output that keeps lines, and fails or stalls on demand.
type taken struct {
	mu    sync.Mutex
	b     bytes.Buffer
	fail  error
	room  int // bytes that are taken before it fails
	stall chan struct{}
}

// Write honours io.Writer: less than all with an error.
func (o *taken) Write(p []byte) (int, error) {
	if o.stall != nil {
		<-o.stall
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil && len(p) > o.room {
		n, _ := o.b.Write(p[:o.room])
		o.room = 0
		return n, o.fail
	}
	o.room -= len(p)
	return o.b.Write(p)
}

func (o *taken) set(err error, room int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail, o.room = err, room
}

func (o *taken) lines() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.SplitAfter(o.b.String(), "\n")
}

// sinkTo is a sink with one output.
func sinkTo(out *taken, o Options) *sink { return newSink(o, &stream{to: out}) }

// plain is a line without its stamp.
func plain(t *testing.T, line string) string {
	t.Helper()
	at := strings.LastIndex(line, `,"v":1,"run":"`)
	if at < 0 || !strings.HasSuffix(line, "}\n") {
		t.Fatalf("no stamp in %q", line)
	}
	return line[:at] + "}\n"
}

func seqOf(t *testing.T, line string) (n uint64) {
	t.Helper()
	var l struct{ Seq uint64 }
	if err := json.Unmarshal([]byte(line), &l); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return l.Seq
}

func TestLossIsMarkedAndTornLineEnded(t *testing.T) {
	out := &taken{}
	var log bytes.Buffer
	s := sinkTo(out, Options{Required: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	full := errors.New("disk full")
	out.set(full, 5)
	for range 2 {
		if err := s.Require(t.Context(), sample); !errors.Is(err, full) {
			t.Errorf("err = %v", err)
		}
		out.set(full, 0)
	}
	out.set(nil, 0)
	for range 2 {
		if err := s.Require(t.Context(), sample); err != nil {
			t.Error(err)
		}
	}
	if n := s.Lost(); n != 2 {
		t.Errorf("%d lost", n)
	}
	_ = s.Close()
	lines := out.lines()
	if len(lines) != 5 || lines[0] != "{\"tim\n" || !strings.Contains(lines[1], `"event":"lost","count":2`) ||
		plain(t, lines[2]) != string(sample.Line()) || plain(t, lines[3]) != string(sample.Line()) {
		t.Errorf("lines: %q", lines)
	}
	for n, line := range lines[1:4] {
		if seqOf(t, line) != uint64(n)+1 {
			t.Errorf("line %d: %s", n, line)
		}
	}
	if n := strings.Count(log.String(), "audit events lost"); n != 1 {
		t.Errorf("logged %d times: %s", n, &log)
	}
}

// What was written of a batch before the disk was full is not lost.
func TestWholeLinesOfAFailedWriteCount(t *testing.T) {
	out := &taken{stall: make(chan struct{})}
	s := sinkTo(out, Options{Required: true})
	waits := make([]func(context.Context) error, 4)
	for n := range waits {
		waits[n] = s.writers[0].await(entry{line: sample.Line(), ack: make(chan error, 1)})
	}
	full := errors.New("disk full")
	length := len(sample.Line()) + len(`,"v":1,"run":"0123456789abcdef","seq":1`)
	out.set(full, 2*length+10)
	close(out.stall)
	for n, wait := range waits {
		err := wait(t.Context())
		// There is room for two, in whichever batches they come.
		if n < 2 && err != nil || n >= 2 && !errors.Is(err, full) {
			t.Errorf("%d: %v", n, err)
		}
	}
	out.set(nil, 0)
	if err := s.Require(t.Context(), sample); err != nil {
		t.Error(err)
	}
	_ = s.Close()
	var whole int
	for _, line := range out.lines() {
		if json.Valid([]byte(line)) && !strings.Contains(line, `"lost"`) {
			whole++
		}
	}
	if lost := int(s.Lost()); whole+lost != 5 {
		t.Errorf("%d whole lines and %d lost:\n%q", whole, lost, out.lines())
	}
}

func TestStalledOutputHoldsUpNobody(t *testing.T) {
	out := &taken{stall: make(chan struct{})}
	s := sinkTo(out, Options{})
	for range queueLength + 1000 {
		s.Record(sample)
	}
	if err := s.Require(t.Context(), sample); err != nil {
		t.Errorf("not required, but: %v", err)
	}
	close(out.stall)
	_ = s.Close()
	var written int
	for _, line := range out.lines() {
		if strings.Contains(line, `"event":"opened"`) {
			written++
		}
	}
	if lost := int(s.Lost()); lost == 0 || written < queueLength || written+lost != queueLength+1001 {
		t.Errorf("%d lines and %d lost of %d", written, lost, queueLength+1001)
	}
	if !strings.Contains(strings.Join(out.lines(), ""), `"event":"lost"`) {
		t.Error("the loss is not marked")
	}
}

func TestRequireGivesUpWithItsContext(t *testing.T) {
	out := &taken{stall: make(chan struct{})}
	s := sinkTo(out, Options{Required: true})
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the client has gone")
	cancel(gone)
	if err := s.Require(ctx, sample); !errors.Is(err, gone) {
		t.Errorf("err = %v", err)
	}
	close(out.stall)
	_ = s.Close()
	if err := s.Require(t.Context(), sample); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	s.Record(sample)
	if s.Lost() != 1+1 {
		t.Errorf("%d lost", s.Lost())
	}
}

func TestOrderIsKept(t *testing.T) {
	out := &taken{}
	s := sinkTo(out, Options{})
	for i := range 1000 {
		s.Record(variant(func(e *Event) { e.Connection = uint64(i + 1) }))
	}
	_ = s.Close()
	lines := out.lines()
	for i, line := range lines[:len(lines)-1] {
		if !strings.Contains(line, fmt.Sprintf(`"connection":%d,`, i+1)) || seqOf(t, line) != uint64(i)+1 {
			t.Fatalf("line %d: %s", i, line)
		}
	}
	if len(lines) != 1001 {
		t.Errorf("%d lines", len(lines))
	}
}

// Each output has its own pace; a required event is in all of them.
func TestSeveralOutputs(t *testing.T) {
	good, bad := &taken{}, &taken{}
	s := newSink(Options{Required: true}, &stream{to: good}, &stream{to: bad})
	if err := s.Require(t.Context(), sample); err != nil {
		t.Fatal(err)
	}
	bad.set(errors.New("disk full"), 0)
	if err := s.Require(t.Context(), sample); err == nil {
		t.Error("taken by one output of two")
	}
	if s.Lost() != 1 {
		t.Errorf("%d lost", s.Lost())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := len(good.lines()) - 1; n != 2 {
		t.Errorf("the good output has %d lines", n)
	}
	if n := len(bad.lines()) - 1; n != 1 {
		t.Errorf("the bad output has %d lines", n)
	}
}

// flawed is an output on a disk that confirms nothing while fail is set.
type flawed struct {
	stream
	fail error
}

func (o *flawed) write(lines []entry) (int, error) {
	n, err := o.stream.write(lines)
	return n, errors.Join(err, o.fail)
}

// What was written and not confirmed is not good for a required event, and its
// number is not given to another line.
func TestUnconfirmedLines(t *testing.T) {
	to, disk := &taken{}, errors.New("input/output error")
	out := &flawed{stream: stream{to: to}, fail: disk}
	s := newSink(Options{Required: true}, out)
	if err := s.Require(t.Context(), sample); !errors.Is(err, disk) {
		t.Errorf("err = %v", err)
	}
	out.fail = nil // its goroutine is idle: Require has returned
	if err := s.Require(t.Context(), sample); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil || s.Lost() != 1 {
		t.Errorf("%v, %d lost", err, s.Lost())
	}
	lines := to.lines()
	if len(lines) != 4 || !strings.Contains(lines[1], `"event":"lost","count":1`) {
		t.Fatalf("%q", lines)
	}
	for n, line := range lines[:3] {
		if seqOf(t, line) != uint64(n)+1 {
			t.Errorf("line %d: %s", n, line)
		}
	}
}

func TestStandardStreams(t *testing.T) {
	for _, to := range []string{"stdout", "stderr"} {
		s, err := Open([]string{to}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	var s Sink = Nop{}
	s.Record(sample)
	if err := errors.Join(s.Require(t.Context(), sample), s.Close()); err != nil || s.Lost() != 0 {
		t.Error(err)
	}
	if _, err := os.Stdout.Stat(); err != nil {
		t.Errorf("standard output was closed: %v", err)
	}
}
