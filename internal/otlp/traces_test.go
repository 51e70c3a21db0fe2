package otlp

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"secretless/internal/stage"
	"secretless/internal/testenv"
)

func TestSpansArrive(t *testing.T) {
	c := newReceiver(t, httptest.NewTLSServer)
	e, l := exporter(t)
	to := destination(c)
	to.Roots = x509.NewCertPool()
	to.Roots.AddCert(c.Certificate())
	e.Use(to)
	ctx, connection := e.Tracer().Connection(t.Context(), "connection")
	inner, dial := e.Tracer().Stage(ctx, "dial")
	if inner == ctx {
		t.Error("the stage has no context of its own")
	}
	dial.Set(slog.String("server.address", strings.Repeat("x", 1000)), slog.Int("n", 5), slog.Bool("b", true), slog.Uint64("u", 6))
	dial.End("connect")
	connection.Event("rotation")
	connection.End("")
	e.Close()
	spans := c.allSpans()
	if len(spans) != 2 {
		t.Fatalf("%d spans: %s", len(spans), l)
	}
	child, parent := spans[0], spans[1]
	if child.Name != "dial" || string(child.ParentSpanId) != string(parent.SpanId) || string(child.TraceId) != string(parent.TraceId) {
		t.Errorf("child %v of %v", child, parent)
	}
	if child.Status.GetMessage() != "connect" || attributes(child.Attributes)["error.type"] != "connect" {
		t.Errorf("outcome %v, %v", child.Status, child.Attributes)
	}
	if got := attributes(child.Attributes)["server.address"]; len(got) != maxAttributeBytes {
		t.Errorf("an attribute of %d bytes", len(got))
	}
	if len(parent.Events) != 1 || parent.Events[0].Name != "rotation" || parent.Status.GetMessage() != "" {
		t.Errorf("parent %v", parent)
	}
	if s := e.Stats(); s.Spans != 2 || s.Dropped != 0 || s.Sent["traces"] != 1 {
		t.Errorf("%+v", s)
	}
}

// The client's trace is continued, and its word about sampling holds.
func TestRequests(t *testing.T) {
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for name, test := range map[string]struct {
		sample   float64
		from     stage.Parent
		recorded bool
		same     bool // the client's trace goes on
		to       bool // the target is told something
	}{
		"sampled by the client":     {0, stage.Parent{Traceparent: "00-" + trace + "-" + parent + "-01", Tracestate: "a=b"}, true, true, true},
		"not sampled by the client": {1, stage.Parent{Traceparent: "00-" + trace + "-" + parent + "-00", Tracestate: "a=b"}, false, true, false},
		"none":                      {1, stage.Parent{}, true, false, true},
		"none, not sampled":         {0, stage.Parent{}, false, false, true},
		"nonsense":                  {1, stage.Parent{Traceparent: "00-zz-" + parent + "-01"}, true, false, true},
		"zeros":                     {1, stage.Parent{Traceparent: "00-00000000000000000000000000000000-0000000000000000-01"}, true, false, true},
		"wrong state":               {0, stage.Parent{Traceparent: "00-" + trace + "-" + parent + "-01", Tracestate: strings.Repeat("=,", 100)}, true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newReceiver(t, httptest.NewServer)
			e, _ := exporter(t)
			to := destination(c)
			to.Sample = test.sample
			e.Use(to)
			ctx, span, onwards := e.Tracer().Request(t.Context(), "GET", test.from)
			if (span != nil) != test.recorded || (onwards.Traceparent != "") != test.to {
				t.Fatalf("span %v, onwards %+v", span, onwards)
			}
			if _, inner := e.Tracer().Stage(ctx, "dial"); (inner != nil) != test.recorded {
				t.Error("the stage is not as its request")
			} else if inner != nil {
				inner.End("")
			}
			if test.to {
				if got := strings.Split(onwards.Traceparent, "-"); len(got) != 4 || (got[1] == trace) != test.same || got[2] == parent || (got[3] == "01") != test.recorded {
					t.Errorf("onwards %+v", onwards)
				}
			}
			if span == nil {
				return
			}
			span.End("")
			e.Close()
			spans := c.allSpans()
			last := spans[len(spans)-1]
			if (hex.EncodeToString(last.TraceId) == trace) != test.same || test.same && hex.EncodeToString(last.ParentSpanId) != parent {
				t.Errorf("span %v", last)
			}
			if !strings.Contains(onwards.Traceparent, hex.EncodeToString(last.SpanId)) {
				t.Errorf("the target is told %s, the span is %x", onwards.Traceparent, last.SpanId)
			}
		})
	}
}

func TestNothingIsTracedWithoutADestination(t *testing.T) {
	e, _ := exporter(t)
	if n := testing.AllocsPerRun(100, func() {
		ctx, span := e.Tracer().Connection(t.Context(), "connection")
		_, inner := e.Tracer().Stage(ctx, "dial")
		_, request, to := e.Tracer().Request(ctx, "GET", stage.Parent{Traceparent: "x"})
		if span != nil || inner != nil || request != nil || to != (stage.Parent{}) {
			t.Error("a span")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSampling(t *testing.T) {
	c := newReceiver(t, httptest.NewServer)
	e, _ := exporter(t)
	to := destination(c)
	to.Sample = 0.25
	e.Use(to)
	recorded := 0
	for range 4000 {
		if _, span := e.Tracer().Connection(t.Context(), "connection"); span != nil {
			recorded++
		}
	}
	if recorded < 800 || recorded > 1200 {
		t.Errorf("%d of 4000", recorded)
	}
}

// A reload changes the destination: what was for the old one still gets there.
func TestChangeOfDestination(t *testing.T) {
	first, second := newReceiver(t, httptest.NewServer), newReceiver(t, httptest.NewServer)
	e, _ := exporter(t)
	span := func(name string) {
		_, s := e.Tracer().Connection(t.Context(), name)
		s.End("")
	}
	e.Use(destination(first))
	span("one")
	closed := 0
	same := destination(first)
	same.Close = func() { closed++ }
	e.Use(same) // nothing changes
	span("two")
	e.Use(destination(second))
	first.await(t, "/base/v1/traces")
	span("three")
	e.Close()
	if len(first.allSpans()) != 2 || len(second.allSpans()) != 1 || closed != 1 {
		t.Errorf("%d and %d spans, closed %d times", len(first.allSpans()), len(second.allSpans()), closed)
	}
}

// Nothing that a collector does holds up whoever makes spans, or the end.
func TestHostileCollectors(t *testing.T) {
	release := make(chan struct{})
	hang := func(http.ResponseWriter, *http.Request) bool { <-release; return true }
	answers := map[string]func(http.ResponseWriter, *http.Request) bool{
		"hangs": hang,
		"endless answer": func(w http.ResponseWriter, r *http.Request) bool {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					break
				}
			}
			return true
		},
		"endless header": func(w http.ResponseWriter, _ *http.Request) bool {
			for n := range 20000 {
				w.Header().Set(fmt.Sprint("X-", n), "xxxxxxxxxx")
			}
			return true
		},
		"redirects": func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/stolen" {
				t.Error("the redirect was followed")
			}
			http.Redirect(w, r, "/stolen", http.StatusTemporaryRedirect)
			return true
		},
		"busy for an hour": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		},
		"refuses":     func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadRequest); return true },
		"drops":       func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) },
		"not success": func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusNotModified); return true },
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			c := newReceiver(t, httptest.NewServer)
			c.set(answer)
			t.Cleanup(c.CloseClientConnections)
			e, l := exporter(t)
			to := destination(c)
			to.Interval, to.Timeout = time.Second, 300*time.Millisecond
			e.Use(to)
			began := time.Now()
			const many = 3 * maxQueue
			for range many {
				_, span := e.Tracer().Connection(context.Background(), "connection")
				span.End("")
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%d spans took %v", many, took)
			}
			began = time.Now()
			if name == "hangs" {
				defer close(release)
			}
			e.Close()
			if took := time.Since(began); took > endWait+5*time.Second {
				t.Errorf("the end took %v", took)
			}
			s := e.Stats()
			if name != "endless answer" && (s.Dropped != many || s.Spans != many || s.Sent["traces"] != 0) {
				t.Errorf("%+v", s)
			}
			if lines := strings.Count(l.String(), "cannot send"); name != "endless answer" && (lines < 1 || lines > 2) { // one a signal
				t.Errorf("%d lines: %s", lines, l)
			}
		})
	}
}

func TestCollectorThatIsNotThere(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	gone.URL = "http://" + testenv.Refusing(t).String()
	e, l := exporter(t)
	to := destination(&receiver{Server: gone})
	to.Interval = time.Second
	e.Use(to)
	_, span := e.Tracer().Connection(t.Context(), "connection")
	span.End("")
	e.Close()
	if s := e.Stats(); s.Dropped != 1 || s.Failed["metrics"] == 0 || !strings.Contains(l.String(), "refused") {
		t.Errorf("%+v: %s", s, l)
	}
}

// A collector that comes back is told of, and gets the next ones.
func TestCollectorThatComesBack(t *testing.T) {
	c := newReceiver(t, httptest.NewServer)
	c.set(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadRequest); return true })
	e, l := exporter(t)
	to := destination(c)
	to.Interval = time.Second
	e.Use(to)
	c.await(t, "/base/v1/metrics")
	c.set(nil)
	c.await(t, "/base/v1/metrics")
	e.Close()
	if text := l.String(); strings.Count(text, "cannot send") != 1 || strings.Count(text, "takes data again") != 1 {
		t.Errorf("log: %s", text)
	}
}
