package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"sync"
	"time"

	"secretless/internal/audit"
)

const (
	// maxProfile bounds what a profile takes of the broker's memory.
	maxProfile = 32 << 20
	// A profile over time takes usualSeconds, and maxSeconds at most; a trace,
	// which grows fast, maxTraceSeconds.
	usualSeconds    = 10
	maxSeconds      = 60
	maxTraceSeconds = 10
	// mutexFraction and blockRate are how much is noted while somebody looks:
	// one event of so many, and what blocks for so many nanoseconds.
	mutexFraction = 10
	blockRate     = 10_000
)

// errTooLarge is a profile that was given up.
var errTooLarge = fmt.Errorf("it has grown beyond %d MiB: ask for fewer seconds", maxProfile>>20)

// profiles makes profiles of the process. None of them holds what is in memory:
// they name functions and count. The handlers of net/http/pprof are not used,
// because importing them adds to the global mux.
type profiles struct {
	busy sync.Mutex // one at a time
}

func newProfiles() *profiles { return &profiles{} }

// profiler is one kind of profile. most is for how many seconds it may run; a
// snapshot has none.
type profiler struct {
	most   uint64
	record func(ctx context.Context, w *limited, d time.Duration) error
}

var profilers = map[string]profiler{
	"cpu":          {maxSeconds, recordCPU},
	"trace":        {maxTraceSeconds, recordTrace},
	"mutex":        {maxSeconds, recordMutex},
	"block":        {maxSeconds, recordBlock},
	"goroutine":    {0, snapshot("goroutine")},
	"heap":         {0, snapshot("heap")},
	"allocs":       {0, snapshot("allocs")},
	"threadcreate": {0, snapshot("threadcreate")},
}

// profile answers with a profile for `go tool pprof`, or a trace. It is made
// completely before it is sent, so that a slow client holds up nobody.
func (c *control) profile(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	p, ok := profilers[name]
	if !ok {
		refuse(w, http.StatusNotFound, fmt.Errorf("there is no profile %q; there are cpu, trace, mutex, block, goroutine, heap, allocs and threadcreate", name))
		return
	}
	seconds, err := number(r, "seconds", min(usualSeconds, p.most))
	if err == nil && (seconds > p.most || p.most > 0 && seconds == 0) {
		err = fmt.Errorf("seconds must be from 1 to %d for the profile %s", p.most, name)
		if p.most == 0 {
			err = fmt.Errorf("the profile %s is of one moment: leave seconds out", name)
		}
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	c.asked(r, "profile", "profile", name, "seconds", seconds)
	var data limited
	began, d := time.Now(), time.Duration(seconds)*time.Second
	err = c.profiles.make(r.Context(), p, &data, d)
	c.ended(r, audit.Event{Action: audit.ActionProfile, Detail: profileText(name, d)}, began, err)
	if err != nil {
		refuse(w, http.StatusConflict, fmt.Errorf("the profile %s: %w", name, err))
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(data.Bytes()) // the client went away: nobody is left to tell
}

func (s *profiles) make(ctx context.Context, p profiler, into *limited, d time.Duration) error {
	if !s.busy.TryLock() {
		return errors.New("another profile is being made: try again when it is done")
	}
	defer s.busy.Unlock()
	if err := p.record(ctx, into, d); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if into.over {
		return errTooLarge
	}
	return nil
}

// limited is a buffer that gives up beyond maxProfile.
type limited struct {
	bytes.Buffer
	over bool
}

// Write takes all or nothing.
func (l *limited) Write(b []byte) (int, error) {
	if l.over = l.over || l.Len()+len(b) > maxProfile; l.over {
		return 0, errTooLarge
	}
	return l.Buffer.Write(b)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func snapshot(name string) func(context.Context, *limited, time.Duration) error {
	return func(_ context.Context, w *limited, _ time.Duration) error { return pprof.Lookup(name).WriteTo(w, 0) }
}

func recordCPU(ctx context.Context, w *limited, d time.Duration) error {
	if err := pprof.StartCPUProfile(w); err != nil {
		return err
	}
	pause(ctx, d)
	pprof.StopCPUProfile()
	return nil
}

func recordTrace(ctx context.Context, w *limited, d time.Duration) error {
	if err := trace.Start(w); err != nil {
		return err
	}
	pause(ctx, d)
	trace.Stop()
	return nil
}

// recordMutex shows what was noted while somebody looked, earlier times
// included: the runtime does not forget.
func recordMutex(ctx context.Context, w *limited, d time.Duration) error {
	before := runtime.SetMutexProfileFraction(mutexFraction)
	pause(ctx, d)
	runtime.SetMutexProfileFraction(before)
	return pprof.Lookup("mutex").WriteTo(w, 0)
}

// recordBlock is like recordMutex.
func recordBlock(ctx context.Context, w *limited, d time.Duration) error {
	runtime.SetBlockProfileRate(blockRate)
	pause(ctx, d)
	runtime.SetBlockProfileRate(0)
	return pprof.Lookup("block").WriteTo(w, 0)
}
