package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	queueLength = 4096             // events in memory while the output stalls
	batchBytes  = 64 << 10         // lines written with one call
	logEvery    = 10 * time.Second // how often trouble is logged
	closeWait   = 5 * time.Second  // for what is queued, at the end
	requireWait = 5 * time.Second  // for one required line
)

// writer has one goroutine that writes lines in the order they were taken.
// Connections never wait for the output, except in Require.
type writer struct {
	out      io.WriteCloser
	required bool
	log      *slog.Logger
	queue    chan entry
	quit     chan struct{}
	done     chan struct{}
	once     sync.Once

	mu     sync.Mutex // guards what follows
	lost   uint64 // since the last Lost event
	total  uint64 // since the start
	logged time.Time
	torn   bool // the output ends in half a line
}

type entry struct {
	line []byte
	ack  chan error // nil where nobody waits
}

func newWriter(out io.WriteCloser, o Options) *writer {
	w := &writer{
		out: out, required: o.Required, log: o.Log,
		queue: make(chan entry, queueLength), quit: make(chan struct{}), done: make(chan struct{}),
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	go w.run()
	return w
}

func (w *writer) Record(e Event) {
	if !w.put(entry{line: e.Line()}) {
		w.lose(1, errors.New("the output does not keep up"))
	}
}

func (w *writer) Require(ctx context.Context, e Event) error {
	if !w.required {
		w.Record(e)
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, requireWait, errors.New("the output does not keep up"))
	defer cancel()
	ack := make(chan error, 1)
	if !w.put(entry{e.Line(), ack}) {
		return fmt.Errorf("audit: event not written: %w", w.refusal())
	}
	select {
	case err := <-ack:
		return err
	case <-ctx.Done():
		return fmt.Errorf("audit: event not written: %w", context.Cause(ctx))
	case <-w.done:
		return ErrClosed
	}
}

func (w *writer) put(e entry) bool {
	select {
	case <-w.quit:
		return false
	default:
	}
	select {
	case w.queue <- e:
		return true
	default:
		return false
	}
}

func (w *writer) refusal() error {
	select {
	case <-w.quit:
		return ErrClosed
	default:
		return errors.New("the output does not keep up")
	}
}

func (w *writer) Lost() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total
}

func (w *writer) Close() error {
	w.once.Do(func() { close(w.quit) })
	select {
	case <-w.done:
		return nil
	case <-time.After(closeWait):
		return errors.New("audit: the output does not take the last events")
	}
}

func (w *writer) run() {
	defer close(w.done)
	defer func() { _ = w.out.Close() }()
	for {
		select {
		case e := <-w.queue:
			w.write(w.batch(e))
		case <-w.quit:
			select {
			case e := <-w.queue:
				w.write(w.batch(e))
				continue
			default:
				return
			}
		}
	}
}

// batch takes what else is waiting, so that a burst costs few system calls.
func (w *writer) batch(first entry) []entry {
	batch, size := []entry{first}, len(first.line)
	for size < batchBytes {
		select {
		case e := <-w.queue:
			batch, size = append(batch, e), size+len(e.line)
		default:
			return batch
		}
	}
	return batch
}

func (w *writer) write(batch []entry) {
	lost, b := w.prefix()
	for _, e := range batch {
		b = append(b, e.line...)
	}
	n, err := w.out.Write(b)
	if err != nil {
		err = fmt.Errorf("audit: event not written: %w", err)
		w.mu.Lock()
		w.torn = w.torn || n > 0
		w.mu.Unlock()
		w.lose(len(batch), err)
	} else {
		w.mu.Lock()
		w.lost, w.torn = w.lost-lost, false
		w.mu.Unlock()
	}
	for _, e := range batch {
		if e.ack != nil {
			e.ack <- err
		}
	}
}

// prefix makes an earlier loss visible in the output, before the next line.
func (w *writer) prefix() (lost uint64, b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.torn {
		b = append(b, '\n')
	}
	if w.lost > 0 {
		b = append(b, Event{Time: time.Now(), Type: Lost, Count: w.lost}.Line()...)
	}
	return w.lost, b
}

func (w *writer) lose(n int, why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost += uint64(n)
	w.total += uint64(n)
	if time.Since(w.logged) < logEvery {
		return
	}
	w.logged = time.Now()
	w.log.Error("audit events lost", "count", w.lost, "error", why)
}
