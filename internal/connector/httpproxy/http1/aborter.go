package http1

import (
	"context"
	"sync"
)

// aborter ends what a client's connection waits for when its context ends. The
// connection has one request at a time, so that one place is enough: telling
// package context about each request costs several times as much.
type aborter struct {
	mu    sync.Mutex
	abort func()
	fired bool
}

type aborterKey struct{}

// withAborter makes the context of a connection.
func withAborter(ctx context.Context) (context.Context, func() bool) {
	a := &aborter{}
	return context.WithValue(ctx, aborterKey{}, a), context.AfterFunc(ctx, a.fire)
}

func (a *aborter) fire() {
	a.mu.Lock()
	abort := a.abort
	a.fired = true
	a.mu.Unlock()
	if abort != nil {
		abort()
	}
}

// whenEnded has abort called when ctx ends. The result takes that back and says
// whether it has not been called and will not be.
func whenEnded(ctx context.Context, abort func()) (a *aborter, stop func() bool) {
	if a, ok := ctx.Value(aborterKey{}).(*aborter); ok && a.set(abort) {
		return a, nil
	}
	return nil, context.AfterFunc(ctx, abort)
}

// set is false where the place is taken, or it is too late.
func (a *aborter) set(abort func()) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.abort != nil || a.fired {
		return false
	}
	a.abort = abort
	return true
}

func (a *aborter) clear() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.abort = nil
	return !a.fired
}
