package provider

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

const (
	// maxValue bounds one value.
	maxValue = 1 << 20

	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 2 * time.Second
)

// fetch asks the provider until it answers, fails for good or the lookup's
// time is up.
func (i *Instance) fetch(f *flight) (map[string]Lease, error) {
	began := time.Now()
	for attempt := 0; ; attempt++ {
		leases, err := i.try(f.ctx, f.refs)
		if err == nil {
			return leases, nil
		}
		if f.once || !isTransient(err) || !backOff(f.ctx, attempt) {
			return nil, waited(i.describe(f.ctx, f.refs, err), attempt, time.Since(began))
		}
	}
}

// waited says in the error what a client has waited for, where it was more than
// one try. An error that tells the time itself stays as it is.
func waited(err error, attempt int, took time.Duration) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || attempt == 0 || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	said := *e
	said.Err = fmt.Errorf("%w (tried %d times in %v)", e.Err, attempt+1, took.Round(100*time.Millisecond))
	return &said
}

// backOff sleeps between half of and the whole of a doubling delay. It reports
// false without sleeping when the deadline would pass first.
func backOff(ctx context.Context, attempt int) bool {
	d := maxBackoff
	if attempt < 5 {
		d = min(firstBackoff<<attempt, maxBackoff)
	}
	d = d/2 + rand.N(d/2+1)
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// try is one Fetch with everything a provider can do wrong contained.
func (i *Instance) try(ctx context.Context, refs []string) (leases map[string]Lease, err error) {
	defer func() {
		if r := recover(); r != nil {
			i.panics.Add(1)
			logPanic(i.log, "fetch", r)
			leases, err = nil, i.fail(refs, errPanicked, false)
		}
	}()
	leases, err = i.provider.Fetch(ctx, append([]string(nil), refs...))
	if err != nil {
		wipeLeases(leases)
		return nil, err
	}
	if err := i.check(leases, refs); err != nil {
		wipeLeases(leases)
		i.leasesOf(leases).release()
		return nil, err
	}
	return i.asked(leases, refs), nil
}

// check says what is missing in leases or too large.
func (i *Instance) check(leases map[string]Lease, refs []string) error {
	for _, ref := range refs {
		l, ok := leases[ref]
		if !ok {
			return i.fail([]string{ref}, errors.New("provider answered without this id"), false)
		}
		if n := l.Value.Len(); n > maxValue {
			return i.fail([]string{ref}, fmt.Errorf("value has %d bytes, more than %d", n, maxValue), false)
		}
	}
	return nil
}

// asked returns exactly refs out of leases and lets go of the rest.
func (i *Instance) asked(leases map[string]Lease, refs []string) map[string]Lease {
	out, rest := make(map[string]Lease, len(refs)), i.leasesOf(leases)
	for _, ref := range refs {
		out[ref] = leases[ref]
	}
	kept := i.leasesOf(out)
	for ref, l := range leases {
		if _, asked := out[ref]; !asked {
			l.Value.Wipe()
		}
	}
	rest.ids = slices.DeleteFunc(rest.ids, func(id string) bool { return slices.Contains(kept.ids, id) })
	rest.release()
	return out
}

func wipeLeases(leases map[string]Lease) {
	for _, l := range leases {
		l.Value.Wipe()
	}
}

// describe makes an *Error of err, and says it plainly where the time was up
// or the instance was closed.
func (i *Instance) describe(ctx context.Context, refs []string, err error) error {
	ended := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	switch {
	case ended && i.life.Err() != nil:
		return i.fail(refs, errClosed, false)
	case ended && ctx.Err() != nil:
		if e, ok := errors.AsType[*Error](err); ok {
			err = e.Err
		}
		return i.fail(refs, &lateError{i.timeout, err}, true)
	}
	e, ok := errors.AsType[*Error](err)
	switch {
	case ok && e.Provider == "":
		named := *e
		named.Provider = i.name
		return &named
	case ok && e.Provider == i.name:
		return err
	}
	// One of another provider, which has a setting of this one, is its reason.
	return i.fail(refs, err, isTransient(err))
}

// lateError is a lookup whose time was up. It leaves out what Go says of that.
type lateError struct {
	after time.Duration
	err   error
}

func (e *lateError) Error() string {
	text := fmt.Sprintf("no answer within %v", e.after)
	why := strings.TrimSuffix(e.err.Error(), context.DeadlineExceeded.Error())
	if why = strings.TrimSuffix(why, ": "); why != "" {
		text += ": " + why
	}
	return text
}

func (e *lateError) Unwrap() error { return e.err }

func (i *Instance) fail(refs []string, err error, transient bool) error {
	e := &Error{Provider: i.name, Err: err, Transient: transient}
	if !i.hideRefs {
		e.Ref = strings.Join(refs, ", ")
	}
	return e
}

// isTransient is true if any *Error of the chain is: a provider that could not
// read its own token fails as the one does that holds it.
func isTransient(err error) bool {
	for {
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Transient {
			return ok
		}
		err = e.Err
	}
}
