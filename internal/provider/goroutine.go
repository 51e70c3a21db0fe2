package provider

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
)

// errPanicked says nothing of the panic's value, which could quote a secret.
var errPanicked = errors.New("provider failed internally, see the broker's log")

// Go runs work in a goroutine that owner waits for; a provider starts none in
// another way. A panic of work ends neither the broker nor the wait: it is
// logged as doing, and failed, unless nil, is called in the same goroutine with
// the error for those who wait. log may be nil.
func Go(owner *sync.WaitGroup, log *slog.Logger, doing string, work func(), failed func(error)) {
	owner.Go(func() {
		defer func() {
			if r := recover(); r != nil {
				logPanic(logOrDiscard(log), doing, r)
				if failed != nil {
					failed(errPanicked)
				}
			}
		}()
		work()
	})
}

// logPanic leaves the panic's value out unless the runtime made it: a
// provider's own could quote a secret.
func logPanic(log *slog.Logger, doing string, r any) {
	what := fmt.Sprintf("%T", r)
	if e, ok := r.(runtime.Error); ok {
		what = e.Error()
	}
	log.Error("provider panicked", "doing", doing, "panic", what, "stack", string(debug.Stack()))
}
