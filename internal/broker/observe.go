package broker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"secretless/internal/connector"
	"secretless/internal/histogram"
	"secretless/internal/relay"
	"secretless/internal/stage"
)

// measures are how long the parts of a service's connections take, and how
// often they fail.
type measures struct {
	handshakes histogram.Durations // of those that were established
	stages     [stage.TLS + 1]struct {
		took   histogram.Durations
		failed atomic.Uint64
	}
	rotations, uses atomic.Uint64
	requests        sync.Map // name of a member to *requests
}

// requests are those of one service. Its connector is the last that had them.
type requests struct {
	connector atomic.Pointer[string]
	took      histogram.Durations
	classes   [len(statusClasses)]atomic.Uint64
}

// statusClasses are how requests end; the first is without an answer.
var statusClasses = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

func (m *measures) request(a connector.Answer, took time.Duration) {
	found, ok := m.requests.Load(a.Service)
	if !ok {
		fresh, kind := &requests{}, a.Kind // a itself is not kept, nor copied to the heap
		fresh.connector.Store(&kind)
		found, _ = m.requests.LoadOrStore(a.Service, fresh)
	}
	r := found.(*requests)
	if *r.connector.Load() != a.Kind {
		kind := a.Kind
		r.connector.Store(&kind)
	}
	class := a.Status / 100
	if class < 0 || class >= len(r.classes) {
		class = 0
	}
	r.classes[class].Add(1)
	r.took.Observe(took)
}

// Begin is the stage.Listener of the connection and of its requests.
func (h *handshake) Begin(ctx context.Context, s stage.Stage, about string) (inner context.Context, end func(error)) {
	began, measured := time.Now(), &h.conn.gen.counters.stages[s]
	inner, span := h.tracer.Stage(ctx, s.String())
	if span != nil && s == stage.Lookup {
		span.Set(slog.String("secretless.provider", about))
	} else if span != nil && about != "" {
		span.Set(slog.String("server.address", about))
	}
	if outer := h.conn.span; outer != nil && s == stage.Dial && !h.wasEstablished() {
		outer.Set(slog.String("server.address", about))
	}
	return inner, func(err error) {
		reason := ""
		if err != nil {
			measured.failed.Add(1)
			reason = reasonOf(s, err)
		} else {
			measured.took.Observe(time.Since(began))
		}
		if span != nil {
			span.End(reason)
		}
		h.logStep(s, about, time.Since(began), reason)
	}
}

// logStep is what --log-level debug shows of a connection that hangs or fails.
// A failure's text is not for it: the connection's end has that.
func (h *handshake) logStep(s stage.Stage, about string, took time.Duration, reason string) {
	log := h.conn.gen.log
	if !log.Enabled(h.ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{slog.Uint64("connection", h.conn.id), slog.String("step", s.String()), slog.String("duration", took.String())}
	if about != "" {
		attrs = append(attrs, slog.String("about", about))
	}
	if reason != "" {
		attrs = append(attrs, slog.String("failed", reason))
	}
	log.LogAttrs(h.ctx, slog.LevelDebug, "handshake step", attrs...)
}

// reasonOf is a short stable word: the texts of errors are not for spans.
func reasonOf(s stage.Stage, err error) string {
	if f, ok := errors.AsType[*connector.Failure](err); ok {
		return f.Kind.String()
	}
	if s == stage.Lookup {
		return connector.KindCredentials.String()
	}
	return "failed"
}

// Mark counts an event.
func (h *handshake) Mark(ctx context.Context, e stage.Event) {
	switch c := h.conn.gen.counters; e {
	case stage.Rotation:
		c.rotations.Add(1)
	case stage.Panic:
		c.panics.Add(1)
	}
	if h.conn.span != nil {
		h.conn.span.Event(e.String())
	}
}

// request is the beginning of one of many requests on a connection.
func (h *handshake) request(ctx context.Context, r connector.Request) (context.Context, connector.Served) {
	began := time.Now()
	ctx, span, to := h.tracer.Request(ctx, r.Name, r.From)
	return stage.With(ctx, h), connector.Served{To: to, End: func(a connector.Answer) {
		svc := h.conn.gen.svc
		if a.Service == "" {
			a.Service, a.Kind = svc.Name, svc.Kind
		}
		h.conn.gen.counters.request(a, time.Since(began))
		if span == nil {
			return
		}
		span.Set(slog.String("secretless.service", a.Service), slog.String("secretless.connector", a.Kind),
			slog.Uint64("secretless.connection", h.conn.id))
		if a.Target != "" {
			span.Set(slog.String("server.address", a.Target))
		}
		if a.Status != 0 {
			span.Set(slog.Int("http.response.status_code", a.Status))
		}
		span.End(requestReason(a.Status))
	}}
}

// unserved counts and logs a request that failed: many of them on one connection
// are as many lines as of connections.
func (h *handshake) unserved(u connector.Unserved) {
	c := h.conn.gen.counters
	c.unserved.Add(1)
	held, ok := c.quiet.allow(time.Now())
	if !ok {
		return
	}
	attrs := []slog.Attr{slog.Uint64("connection", h.conn.id), slog.String("request", u.What), slog.Int("status", u.Status)}
	if held > 0 {
		attrs = append(attrs, slog.Int("more", held))
	}
	h.conn.gen.log.LogAttrs(h.ctx, slog.LevelWarn, "request not served", append(attrs, slog.String("error", u.Text))...)
}

// requestReason: what a client did wrong is no failure of the broker's.
func requestReason(status int) string {
	if status == 0 || status >= 500 {
		return statusClasses[status/100%len(statusClasses)]
	}
	return ""
}

// endSpan completes the connection's span.
func (c *conn) endSpan(o outcome, r relay.Result) {
	if c.span == nil {
		return
	}
	c.span.Set(
		slog.String("secretless.service", c.gen.svc.Name), slog.String("secretless.connector", c.gen.svc.Kind),
		slog.Uint64("secretless.connection", c.id), slog.String("secretless.outcome", string(o.typ)),
		slog.Int64("secretless.bytes_to_target", r.ToTarget), slog.Int64("secretless.bytes_to_client", r.ToClient),
	)
	if c.peer.Known {
		c.span.Set(slog.Int64("secretless.peer.uid", int64(c.peer.UID)), slog.String("process.executable.path", c.peer.Executable))
	}
	c.span.End(o.reason)
}
