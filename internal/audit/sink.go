package audit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Sink takes events. Safe for concurrent use.
type Sink interface {
	// Record takes e without ever blocking. When it cannot be kept, the loss
	// is logged, and a Lost event marks the gap once writing works again.
	Record(e Event)
	// Require takes e like Record. A sink that was opened as required returns
	// only when the line has reached the operating system, or an error when
	// it has not: then what e announces must not happen.
	Require(ctx context.Context, e Event) error
	// Lost counts the events that could not be written so far, for metrics: an
	// event that two outputs lost counts twice.
	Lost() uint64
	// Close writes what is queued, waiting a few seconds at most.
	Close() error
}

var (
	// ErrClosed is what a required sink answers after Close.
	ErrClosed = errors.New("audit is closed")

	errSlow = errors.New("the output does not keep up")
)

// requireWait bounds the wait for one required line.
const requireWait = 5 * time.Second

// sink writes to one output or several, each at its own pace.
type sink struct {
	required bool
	writers  []*writer
}

func newSink(o Options, outputs ...output) *sink {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	s := &sink{required: o.Required}
	for _, out := range outputs {
		s.writers = append(s.writers, newWriter(out, hex.EncodeToString(id[:]), o.Log))
	}
	return s
}

// Record takes e.
func (s *sink) Record(e Event) {
	line, urgent := e.Line(), e.urgent()
	for _, w := range s.writers {
		w.put(entry{line: line, urgent: urgent})
	}
}

// Require takes e, and waits for all outputs where it is required.
func (s *sink) Require(ctx context.Context, e Event) error {
	if !s.required {
		s.Record(e)
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, requireWait, errSlow)
	defer cancel()
	line, urgent := e.Line(), e.urgent()
	waits := make([]func(context.Context) error, len(s.writers))
	for n, w := range s.writers {
		ack := make(chan error, 1)
		waits[n] = w.await(entry{line: line, urgent: urgent, ack: ack})
	}
	for _, wait := range waits {
		if err := wait(ctx); err != nil {
			return fmt.Errorf("audit: event not written: %w", err)
		}
	}
	return nil
}

// Lost is the sum of all outputs.
func (s *sink) Lost() uint64 {
	var n uint64
	for _, w := range s.writers {
		n += w.lostInAll()
	}
	return n
}

// Close closes all outputs at once.
func (s *sink) Close() error {
	errs := make([]error, len(s.writers))
	var closing sync.WaitGroup
	for n, w := range s.writers {
		closing.Go(func() { errs[n] = w.close() })
	}
	closing.Wait()
	return errors.Join(errs...)
}

// Nop is the sink of a broker without audit.
type Nop struct{}

// Record does nothing.
func (Nop) Record(Event) {}

// Require returns nil.
func (Nop) Require(context.Context, Event) error { return nil }

// Lost is zero.
func (Nop) Lost() uint64 { return 0 }

// Close returns nil.
func (Nop) Close() error { return nil }
