package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// halfLoad asks at a steady rate: half of what one relay reaches, for every
// contender alike.
type halfLoad struct {
	bench   *bench
	of      string // the relay
	way     way
	lasting time.Duration
	rate    float64 // requests a second; 0 until it was found out
}

func (h *halfLoad) run(ctx context.Context, c httpClient) (outcome, error) {
	if h.rate == 0 {
		greatest, err := h.greatest(ctx)
		if err != nil {
			return outcome{}, err
		}
		h.rate = greatest / 2
	}
	return c.steady(ctx, httpClients, h.rate, h.lasting)
}

// greatest measures the relay, in a process of its own.
func (h *halfLoad) greatest(ctx context.Context) (float64, error) {
	target, err := h.bench.server(ctx, httpServerApart())
	if err != nil {
		return 0, err
	}
	for _, r := range httpRelays(h.bench) {
		if r.name != h.of {
			continue
		}
		running, err := h.bench.fleet.start(ctx, r, target.target(h.way.encrypted))
		if err != nil {
			return 0, err
		}
		defer running.stop()
		c := httpClient{endpoint: running.endpoint("tcp")}
		// A fresh broker first learns how much is allocated.
		if _, err := c.keepAlive(ctx, httpClients, 5*time.Second); err != nil {
			return 0, err
		}
		done, err := c.keepAlive(ctx, httpClients, 2*time.Second)
		return done.perSecond(), err
	}
	return 0, fmt.Errorf("half of the rate of %s is asked for, which is not compared", h.of)
}

// steady asks rate times a second whatever answers take. Latency counts from
// when a question was due: one that waits for a free client has waited, too.
func (c httpClient) steady(ctx context.Context, clients int, rate float64, lasting time.Duration) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, lasting+30*time.Second)
	defer cancel()
	if !c.encrypted && !c.h2 {
		return c.steadyPlain(ctx, clients, rate, lasting)
	}
	askers, undo, err := c.askers(ctx, clients)
	defer undo()
	if err != nil {
		return outcome{}, err
	}
	due := make(chan time.Time, int(rate*lasting.Seconds())+1)
	began := time.Now()
	go pace(due, rate, lasting) // ends by itself, and is waited for by the ranges over due
	took, err := together(askers, func(ask func() error) (took []time.Duration, err error) {
		for at := range due {
			if err := ask(); err != nil {
				return took, err
			}
			took = append(took, time.Since(at))
		}
		return took, nil
	})
	return timedOutcome(took, time.Since(began)), err
}

// pace sends the time as often as rate says. It sleeps in the kernel: Go's
// timers come up to a millisecond late.
func pace(due chan<- time.Time, rate float64, lasting time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(due)
	began := time.Now()
	for n := 1; ; n++ {
		at := time.Duration(float64(n) / rate * float64(time.Second))
		if at >= lasting {
			return
		}
		if wait := at - time.Since(began); wait > 0 {
			pause := unix.NsecToTimespec(int64(wait))
			_ = unix.Nanosleep(&pause, nil)
		}
		due <- time.Now()
	}
}
