//go:build unix

package top

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Interactive says whether the platform has a view for terminals.
const Interactive = true

// ResizeSignal tells that the terminal has another size.
const ResizeSignal = syscall.SIGWINCH

// RunOptions are those of Run.
type RunOptions struct {
	Source   Source
	In, Out  *os.File // a terminal
	Interval time.Duration
	// Signals end the view, but for ResizeSignal.
	Signals <-chan os.Signal
}

// Run shows the view until the user has enough, or a signal comes, which it
// returns. Whatever ends it, the terminal is as it was before.
func Run(ctx context.Context, o RunOptions) (by os.Signal, err error) {
	before, err := term.MakeRaw(int(o.In.Fd()))
	if err != nil {
		return nil, fmt.Errorf("preparing the terminal: %w", err)
	}
	// Deferred calls run in a panic as well.
	defer func() { _ = term.Restore(int(o.In.Fd()), before) }()
	r := &runner{RunOptions: o, screen: screen{o.Out}, keys: make(chan []byte), results: make(chan result)}
	defer r.screen.leave()
	if err := r.screen.enter(); err != nil {
		return nil, fmt.Errorf("drawing on the terminal: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer r.tasks.Wait()
	defer cancel()
	r.tasks.Go(func() { r.read(ctx) })
	return r.loop(ctx)
}

type runner struct {
	RunOptions
	screen  screen
	view    view
	tasks   sync.WaitGroup
	keys    chan []byte
	results chan result
	asking  bool // a sample is on its way
}

// result of something that was asked of the broker, or the end of input.
type result struct {
	sample *sample
	err    error
	note   string
	ended  error
}

var errNoInput = errors.New("the terminal is gone")

func (r *runner) loop(ctx context.Context) (os.Signal, error) {
	tick := time.NewTicker(r.Interval)
	defer tick.Stop()
	r.ask(ctx)
	for {
		if err := r.draw(); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case s := <-r.Signals:
			if s != ResizeSignal {
				return s, nil
			}
		case <-tick.C:
			r.ask(ctx)
		case b := <-r.keys:
			for _, k := range parseKeys(b) {
				v := r.view.press(k)
				if v.quit {
					return nil, nil
				}
				if v.close != 0 {
					r.close(ctx, v.close)
				}
			}
		case got := <-r.results:
			if got.ended != nil {
				return nil, got.ended
			}
			r.take(ctx, got)
		}
	}
}

func (r *runner) take(ctx context.Context, got result) {
	switch {
	case got.note != "":
		r.view.note = got.note
		r.ask(ctx)
	case got.err != nil:
		r.asking, r.view.problem = false, got.err.Error()
	default:
		r.asking, r.view.problem = false, ""
		r.view.model = next(r.view.model, got.sample)
	}
}

func (r *runner) draw() error {
	width, height, err := term.GetSize(int(r.Out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		width, height = 80, 24
	}
	if err := r.screen.draw(r.view.render(width, height)); err != nil {
		return fmt.Errorf("drawing on the terminal: %w", err)
	}
	return nil
}

// start runs f beside the loop, which takes its result. A panic in it must not
// end the process, with the terminal as it is.
func (r *runner) start(ctx context.Context, f func() result) {
	r.tasks.Go(func() {
		out := result{ended: errors.New("asking the broker broke down")}
		defer func() {
			if p := recover(); p != nil {
				out.ended = fmt.Errorf("asking the broker broke down: a %T", p)
			}
			select {
			case r.results <- out:
			case <-ctx.Done():
			}
		}()
		out = f()
	})
}

// ask for a sample, unless one is on its way: a broker that is slow to answer
// is not asked more.
func (r *runner) ask(ctx context.Context) {
	if r.asking {
		return
	}
	r.asking = true
	r.start(ctx, func() result {
		s, err := take(ctx, r.Source)
		return result{sample: s, err: err}
	})
}

func (r *runner) close(ctx context.Context, id uint64) {
	r.start(ctx, func() result {
		if err := r.Source.CloseConnection(ctx, id); err != nil {
			return result{note: err.Error()}
		}
		return result{note: fmt.Sprintf("connection %d is closed", id)}
	})
}

// readPause is how long read waits for a key before it looks whether it should
// end.
const readPause = 100 // milliseconds

// read hands on what is typed until ctx ends or the terminal is gone.
func (r *runner) read(ctx context.Context) {
	fd := int(r.In.Fd())
	buf := make([]byte, 64)
	for ctx.Err() == nil {
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(ready, readPause)
		if errors.Is(err, unix.EINTR) || err == nil && n == 0 {
			continue
		}
		if err == nil {
			n, err = unix.Read(fd, buf)
		}
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err != nil || n <= 0 {
			select {
			case r.results <- result{ended: errNoInput}:
			case <-ctx.Done():
			}
			return
		}
		select {
		case r.keys <- append([]byte(nil), buf[:n]...):
		case <-ctx.Done():
		}
	}
}
