package otlp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"secretless/internal/secret"
)

// receiver is a collector that keeps what it gets.
type receiver struct {
	*httptest.Server

	mu      sync.Mutex
	headers []http.Header
	metrics []*metricspb.MetricsData
	spans   []*tracepb.Span
	raw     strings.Builder
	answer  func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
	came    chan string                                       // paths
}

func newReceiver(t *testing.T, start func(http.Handler) *httptest.Server) *receiver {
	t.Helper()
	c := &receiver{came: make(chan string, 1000)}
	c.Server = start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		c.mu.Lock()
		answer := c.answer
		c.mu.Unlock()
		if answer != nil && answer(w, r) {
			c.came <- r.URL.Path
			return
		}
		c.keep(t, r, body)
		c.came <- r.URL.Path
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *receiver) keep(t *testing.T, r *http.Request, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers = append(c.headers, r.Header)
	c.raw.Write(body)
	if got := r.Header.Get("Content-Type"); got != "application/x-protobuf" {
		t.Errorf("content type %q", got)
	}
	switch r.URL.Path {
	case "/base/v1/metrics":
		var m metricspb.MetricsData
		if err := proto.Unmarshal(body, &m); err != nil {
			t.Error(err)
		}
		c.metrics = append(c.metrics, &m)
	case "/base/v1/traces":
		var d tracepb.TracesData
		if err := proto.Unmarshal(body, &d); err != nil {
			t.Error(err)
		}
		for _, rs := range d.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				c.spans = append(c.spans, ss.Spans...)
			}
		}
	default:
		t.Errorf("a request for %s", r.URL.Path)
	}
}

// set changes how it answers.
func (c *receiver) set(answer func(http.ResponseWriter, *http.Request) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

// await waits for a request.
func (c *receiver) await(t *testing.T, path string) {
	t.Helper()
	for deadline := time.After(20 * time.Second); ; {
		select {
		case came := <-c.came:
			if came == path {
				return
			}
		case <-deadline:
			t.Fatalf("no request for %s", path)
		}
	}
}

func (c *receiver) allSpans() []*tracepb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

func attributes(list []*commonpb.KeyValue) map[string]string {
	out := map[string]string{}
	for _, a := range list {
		out[a.Key] = a.Value.GetStringValue()
	}
	return out
}

// tokens are credentials that change when they are rejected.
type tokens struct {
	mu       sync.Mutex
	values   []string
	rejected int
	err      error
}

func (c *tokens) Get(context.Context) (*secret.Set, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	return secret.NewSet(map[string]secret.Value{"authorization": secret.Copy(c.values[0])}), nil
}

func (c *tokens) Rejected(*secret.Set) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rejected++
	if len(c.values) > 1 {
		c.values = c.values[1:]
		return true
	}
	return false
}

func (*tokens) Accepted(*secret.Set) {}

// log is a log that tests read.
type log struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// exporter has a registry with one metric of each kind.
func exporter(t *testing.T) (*Exporter, *log) {
	t.Helper()
	r := prometheus.NewRegistry()
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "things_total", Help: "Things."}, []string{"kind"})
	c.WithLabelValues("a").Add(3)
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "size_bytes", Help: "Size."})
	g.Set(7)
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "took_seconds", Help: "Time.", Buckets: []float64{1, 2}})
	for _, v := range []float64{0.5, 1.5, 1.6, 9} {
		h.Observe(v)
	}
	s := prometheus.NewSummary(prometheus.SummaryOpts{Name: "pause_seconds", Help: "Pauses.", Objectives: map[float64]float64{0.5: 0.1}})
	s.Observe(4)
	r.MustRegister(c, g, h, s)
	l := &log{}
	e := New(Options{
		Gather: r.Gather, Resource: Resource{Service: "secretless", Version: "v1", Attributes: map[string]string{"k": "v"}},
		Log: slog.New(slog.NewTextHandler(l, nil)),
	})
	t.Cleanup(e.Close)
	return e, l
}

func destination(c *receiver) *Destination {
	return &Destination{Endpoint: c.URL + "/base", Timeout: 5 * time.Second, Traces: true, Sample: 1, Digest: c.URL}
}

func TestMetricsArrive(t *testing.T) {
	c := newReceiver(t, httptest.NewServer)
	e, _ := exporter(t)
	to := destination(c)
	to.Interval = time.Hour // the last one, at the end, is enough
	e.Use(to)
	e.Close()
	if len(c.metrics) != 1 {
		t.Fatalf("%d messages", len(c.metrics))
	}
	rm := c.metrics[0].ResourceMetrics[0]
	if got := attributes(rm.Resource.Attributes); !maps.Equal(got, map[string]string{"service.name": "secretless", "service.version": "v1", "k": "v"}) {
		t.Errorf("resource %v", got)
	}
	byName := map[string]*metricspb.Metric{}
	for _, m := range rm.ScopeMetrics[0].Metrics {
		byName[m.Name] = m
	}
	sum := byName["things_total"].GetSum()
	if !sum.IsMonotonic || sum.DataPoints[0].GetAsDouble() != 3 || attributes(sum.DataPoints[0].Attributes)["kind"] != "a" || sum.DataPoints[0].StartTimeUnixNano == 0 {
		t.Errorf("counter: %v", sum)
	}
	if g := byName["size_bytes"]; g.Unit != "By" || g.GetGauge().DataPoints[0].GetAsDouble() != 7 {
		t.Errorf("gauge: %v", g)
	}
	h := byName["took_seconds"].GetHistogram().DataPoints[0]
	if h.Count != 4 || *h.Sum != 12.6 || !slices.Equal(h.ExplicitBounds, []float64{1, 2}) || !slices.Equal(h.BucketCounts, []uint64{1, 2, 1}) {
		t.Errorf("histogram: %v", h)
	}
	if s := byName["pause_seconds"].GetSummary().DataPoints[0]; s.Count != 1 || s.QuantileValues[0].Value != 4 {
		t.Errorf("summary: %v", s)
	}
	if s := e.Stats(); s.Sent["metrics"] != 1 || s.Failed["metrics"] != 0 {
		t.Errorf("%+v", s)
	}
}

func TestHeadersComeFromCredentials(t *testing.T) {
	c := newReceiver(t, httptest.NewServer)
	c.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "Bearer new" {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	})
	e, l := exporter(t)
	to, creds := destination(c), &tokens{values: []string{"Bearer old", "Bearer new\n"}}
	to.Interval, to.Headers, to.Credentials = time.Hour, []string{"authorization"}, creds
	closed := false
	to.Close = func() { closed = true }
	e.Use(to)
	e.Close()
	if len(c.metrics) != 1 || creds.rejected != 1 || !closed {
		t.Errorf("%d messages, %d rejections, closed %v: %s", len(c.metrics), creds.rejected, closed, l)
	}
}

func TestUnusableHeaders(t *testing.T) {
	c := newReceiver(t, httptest.NewServer)
	for _, creds := range []*tokens{{values: []string{"canary\r\nX-Evil: 1"}}, {err: errors.New("provider v: token: sealed")}} {
		e, l := exporter(t)
		to := destination(c)
		to.Interval, to.Headers, to.Credentials = time.Hour, []string{"authorization"}, creds
		e.Use(to)
		e.Close()
		if len(c.metrics) != 0 || e.Stats().Failed["metrics"] != 1 {
			t.Errorf("sent all the same: %+v", e.Stats())
		}
		if text := l.String(); !strings.Contains(text, "cannot send") || strings.Contains(text, "canary") {
			t.Errorf("log: %s", text)
		}
	}
}

// A collector knows the token and chooses what it answers: the log does not
// repeat that.
func TestCollectorThatEchoesTheToken(t *testing.T) {
	for _, answer := range []string{
		"TOKEN\r\n\r\n", "HTTP/1.1 TOKEN\r\n\r\n", "HTTP/1.1 200 OK\r\nX-Token TOKEN\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: TOKEN\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: TOKEN\r\n\r\n",
	} {
		c := newReceiver(t, httptest.NewServer)
		c.set(func(w http.ResponseWriter, r *http.Request) bool {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return true
			}
			_, _ = io.WriteString(conn, strings.ReplaceAll(answer, "TOKEN", r.Header.Get("Authorization")))
			_ = conn.Close()
			return true
		})
		e, l := exporter(t)
		to := destination(c)
		to.Interval, to.Headers, to.Credentials = time.Hour, []string{"authorization"}, &tokens{values: []string{"c4nary"}}
		e.Use(to)
		e.Close()
		if text := l.String(); !strings.Contains(text, "cannot send") || strings.Contains(text, "c4nary") {
			t.Errorf("%q, log: %s", answer, text)
		}
	}
}
