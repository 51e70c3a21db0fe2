package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"secretless/internal/audit"
	"secretless/internal/connector"
	"secretless/internal/relay"
)

// Reasons that are no connector.Kind.
const (
	reasonPeer  = "peer"
	reasonAudit = "audit"
	reasonIdle  = "idle"
)

var (
	errLimit      = errors.New("the broker has as many connections of this service as limits.connections allows: try again later")
	errBusy       = errors.New("the broker has as many handshakes in progress as it allows: try again later")
	errUnrecorded = errors.New("the audit event cannot be written, and without it no connection is allowed: see the broker's log")

	// errUnrecordedTarget is for the connector to tell.
	errUnrecordedTarget error = &connector.Failure{Kind: connector.KindInternal, Err: errUnrecorded}
)

// outcome is how a connection ended; err is nil where it ended in order.
type outcome struct {
	typ    audit.Type
	reason string
	err    error
}

// settle judges what a connector returned. cause is why its context ended, if
// it did. Whoever went away before the handshake was done, without an error,
// was a probe.
func (o outcome) settle(cause error, established bool) outcome {
	if o.typ == audit.Refused {
		return o
	}
	if o.err == nil {
		o.err = cause
		if errors.Is(cause, ErrClientGone) {
			o.err = nil
		}
	}
	if o.err == nil {
		return o
	}
	// What the connector saw of an ended context is a failed read or dial; the
	// cause says why.
	if cause != nil && !errors.Is(o.err, cause) {
		o.err = fmt.Errorf("%w: %w", cause, o.err)
	}
	o.reason = connector.KindOf(o.err).String()
	switch {
	case errors.Is(cause, relay.ErrIdle):
		o.reason = reasonIdle
	case errors.Is(o.err, errUnrecorded):
		o.reason = reasonAudit
	case errors.Is(cause, ErrAdministrator):
		o.reason = reasonAdministrator
	}
	if !established {
		o.typ = audit.Failed
	}
	return o
}

// relayed judges the end of a pair.
func (o outcome) relayed() outcome {
	switch {
	case o.err == nil:
	case errors.Is(o.err, relay.ErrIdle):
		o.reason = reasonIdle
	case errors.Is(o.err, ErrAdministrator):
		o.reason = reasonAdministrator
	case errors.Is(o.err, relay.ErrStopped), errors.Is(o.err, ErrDraining), errors.Is(o.err, ErrCutShort):
		o.reason = connector.KindStopping.String()
	default:
		o.reason = "broken"
	}
	return o
}

// finish accounts for c, whose sockets are closed. It is also called by the
// relay's goroutines and must not block.
func (b *Broker) finish(c *conn, o outcome, r relay.Result) {
	e := c.event(o.typ)
	e.Reason, e.ToTarget, e.ToClient, e.Duration = o.reason, r.ToTarget, r.ToClient, e.Time.Sub(c.since)
	b.audit.Record(e)
	c.endSpan(o, r)
	c.logEnd(o, r, e.Duration)
	c.gen.leave(c, o, r)
	c.vacate()
}

func (c *conn) event(typ audit.Type) audit.Event {
	return audit.Event{
		Time: time.Now(), Type: typ, Service: c.gen.svc.Name, Connector: c.gen.svc.Kind,
		Connection: c.id, Listener: c.endpoint.address, Remote: c.remote(), Peer: c.peer,
	}
}

func (c *conn) logEnd(o outcome, r relay.Result, took time.Duration) {
	level, text := slog.LevelDebug, "connection closed"
	switch {
	case o.typ == audit.Refused:
		level, text = slog.LevelWarn, "connection refused"
	case o.typ == audit.Failed && o.reason == connector.KindClientGone.String():
		level, text = slog.LevelInfo, "connection failed"
	case o.typ == audit.Failed:
		level, text = slog.LevelWarn, "connection failed"
	}
	ctx := context.Background()
	if !c.gen.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.Uint64("connection", c.id), slog.String("duration", took.String())}
	if remote := c.remote(); remote != "" {
		attrs = append(attrs, slog.String("remote", remote))
	}
	if c.peer.Known {
		attrs = append(attrs, slog.Any("peer", c.peer))
	}
	if level == slog.LevelWarn {
		held, ok := c.gen.counters.quiet.allow(time.Now())
		if !ok {
			return
		}
		if held > 0 {
			attrs = append(attrs, slog.Int("more", held))
		}
	}
	if o.typ == audit.Closed {
		attrs = append(attrs, slog.Int64("bytes_to_target", r.ToTarget), slog.Int64("bytes_to_client", r.ToClient))
	}
	if o.err != nil {
		attrs = append(attrs, slog.String("reason", o.reason), slog.Any("error", o.err))
	}
	c.gen.log.LogAttrs(ctx, level, text, attrs...)
}
