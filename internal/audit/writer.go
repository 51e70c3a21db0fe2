package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"
)

const (
	queueLength = 4096             // events in memory while the output stalls
	batchBytes  = 64 << 10         // lines written with one call
	logEvery    = 10 * time.Second // how often trouble is logged
	closeWait   = 5 * time.Second  // for what is queued, at the end
)

// output is where lines go. One goroutine calls it.
type output interface {
	// write takes lines, which end in newlines, in their order, and returns how
	// many have reached the operating system whole; if not all, why. An error
	// with all of them says that they are there, and may not stay.
	write(lines []entry) (int, error)
	Close() error
}

// entry is one line on its way.
type entry struct {
	line   []byte
	urgent bool
	ack    chan error // nil where nobody waits
}

// writer has one goroutine that writes lines in the order they were taken.
// Connections never wait for the output, except where an event is required.
type writer struct {
	out   output
	run   string // the broker's run, in each line
	log   *slog.Logger
	queue chan entry
	quit  chan struct{}
	done  chan struct{}
	once  sync.Once
	seq   uint64 // of the last line written; of the goroutine

	mu     sync.Mutex // guards what follows
	lost   uint64     // since the last Lost event
	total  uint64     // since the start
	logged time.Time
}

func newWriter(out output, run string, log *slog.Logger) *writer {
	w := &writer{
		out: out, run: run, log: log,
		queue: make(chan entry, queueLength), quit: make(chan struct{}), done: make(chan struct{}),
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	go w.loop()
	return w
}

// put takes e, or counts it as lost.
func (w *writer) put(e entry) error {
	select {
	case <-w.quit:
		w.lose(1, ErrClosed)
		return ErrClosed
	default:
	}
	select {
	case w.queue <- e:
		return nil
	default:
		w.lose(1, errSlow)
		return errSlow
	}
}

// await is put; what it returns waits until e is written.
func (w *writer) await(e entry) func(context.Context) error {
	if err := w.put(e); err != nil {
		return func(context.Context) error { return err }
	}
	return func(ctx context.Context) error {
		select {
		case err := <-e.ack:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.done:
		}
		select {
		case err := <-e.ack: // one of the last
			return err
		default:
			return ErrClosed
		}
	}
}

func (w *writer) lostInAll() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total
}

func (w *writer) close() error {
	w.once.Do(func() { close(w.quit) })
	select {
	case <-w.done:
		return nil
	case <-time.After(closeWait):
		return errors.New("audit: the output does not take the last events")
	}
}

func (w *writer) loop() {
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
	lost, lines := w.marker()
	markers := len(lines)
	lines = append(lines, batch...)
	for n := range lines {
		lines[n].line = w.stamp(lines[n].line, w.seq+uint64(n)+1)
	}
	written, err := w.out.write(lines)
	w.seq += uint64(written)
	if err != nil && written == len(lines) {
		written = 0
	}
	if markers > 0 && written > 0 {
		w.mu.Lock()
		w.lost -= lost
		w.mu.Unlock()
	}
	taken := max(0, written-markers)
	if left := len(batch) - taken; left > 0 {
		w.lose(left, err)
	}
	for n, e := range batch {
		if e.ack == nil {
			continue
		}
		if n < taken {
			e.ack <- nil
			continue
		}
		e.ack <- err
	}
}

// stamp adds to a line what it says about itself: numbers without a gap show
// that none is missing.
func (w *writer) stamp(line []byte, seq uint64) []byte {
	const end = "}\n"
	out := make([]byte, 0, len(line)+64)
	out = append(out, line[:len(line)-len(end)]...)
	out = append(out, `,"v":1,"run":"`...)
	out = append(out, w.run...)
	out = append(out, `","seq":`...)
	out = strconv.AppendUint(out, seq, 10)
	return append(out, end...)
}

// marker makes an earlier loss visible in the output, before the next line.
func (w *writer) marker() (lost uint64, lines []entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost > 0 {
		e := Event{Time: time.Now(), Type: Lost, Count: w.lost}
		lines = append(lines, entry{line: e.Line(), urgent: true})
	}
	return w.lost, lines
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
	w.log.Error("audit events lost", "count", w.lost, "error", fmt.Errorf("audit: %w", why))
}
