package audit

import (
	"context"
	"errors"
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

// ErrClosed is what a required sink answers after Close.
var ErrClosed = errors.New("audit is closed")

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
