package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"secretless/internal/audit"
	"secretless/internal/config"
	"secretless/internal/peer"
)

// What causes a reload or a stop, in the audit's words.
const (
	bySignal  = "signal"
	byWatch   = "watch"
	byAdmin   = "admin"
	byRetry   = "retry" // of a reload that failed
	byStart   = "start" // a start that failed
	byContext = "context"
)

// record is the audit with what it is told about the process. A nil one was
// never opened.
type record struct {
	sink   audit.Sink
	config string
	began  time.Time // of the run; zero before

	mu       sync.Mutex
	services int
	by       string
}

func openAudit(a config.Audit, log *slog.Logger) (*record, error) {
	r := &record{sink: audit.Nop{}, by: byStart}
	if len(a.To) == 0 {
		return r, nil
	}
	sink, err := audit.Open(a.To, audit.Options{
		Required: a.Required, MaxSize: a.MaxSize, Keep: a.Keep, Fsync: a.Fsync, Log: log,
		Syslog: audit.SyslogOptions{RFC5424: a.Syslog.RFC5424, Facility: a.Syslog.Facility},
	})
	if err != nil {
		return nil, err
	}
	r.sink = sink
	return r, nil
}

// started records the start, before anything listens: an audit that is required
// and cannot be written is a broker that does not start.
func (r *record) started(ctx context.Context, source string, services int) error {
	r.config, r.began, r.services = source, time.Now(), services
	err := r.sink.Require(ctx, audit.Event{
		Time: r.began, Type: audit.Started, Version: versionText(), Config: source, Services: services,
	})
	if err != nil {
		return fmt.Errorf("audit.required is set and the start cannot be recorded: %w", err)
	}
	return nil
}

// serves notes how many services run now.
func (r *record) serves(services int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.services = services
}

// reloaded records how a reload ended. who asked for it is known where it came
// through the admin socket.
func (r *record) reloaded(by string, who peer.Identity, began time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := audit.Event{
		Time: time.Now(), Type: audit.Reload, By: by, Peer: who, Outcome: audit.OK, Config: r.config, Services: r.services,
	}
	e.Duration = e.Time.Sub(began)
	if err != nil {
		e.Outcome, e.Errors = audit.Fail, 1
		if list, ok := errors.AsType[config.Errors](err); ok {
			e.Errors = len(list)
		}
	}
	r.sink.Record(e)
}

// stops notes why the broker stops.
func (r *record) stops(by string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.by = by
}

// close records the end and closes the audit.
func (r *record) close() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	by := r.by
	r.mu.Unlock()
	if !r.began.IsZero() {
		now := time.Now()
		r.sink.Record(audit.Event{Time: now, Type: audit.Stopped, By: by, Duration: now.Sub(r.began)})
	}
	return r.sink.Close()
}
