package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Sections of the report.
const (
	httpSmallSection = "HTTP: 1 KiB keep-alive, the relay on one core"
	httpHalfSection  = "HTTP: 1 KiB at half of a greatest rate, the relay on one core"
	httpBulkSection  = "HTTP: 100 MiB, the relay on one core"
)

const (
	httpBulkBytes = 100 << 20
	httpClients   = 32
)

// httpVersions are those of the client's connection: HTTP/2 needs TLS.
func httpVersions() []httpVersion {
	return []httpVersion{{}, {encrypted: true}, {encrypted: true, h2: true}}
}

func httpLoads(b *bench) []load {
	var all []load
	add := func(on kind, section, name string, v httpVersion, u unit, quick bool, run func(context.Context, httpClient) (outcome, error)) {
		w := way{network: "tcp", encrypted: v.encrypted}
		all = append(all, load{
			comparison: comparison{section: section, name: name, unit: u},
			way:        w, kind: on, quick: quick, relays: httpRelays(b), alone: true,
			run: func(ctx context.Context, e endpoint) (outcome, error) {
				return besideRelay(func() (outcome, error) { return run(ctx, httpClient{endpoint: e, h2: v.h2}) })
			},
		})
	}
	lasting := time.Duration(b.options.seconds) * time.Second
	for _, v := range httpVersions() {
		add(httpServer(), httpSmallSection, httpSmallName(v), v, requests(), true, func(ctx context.Context, c httpClient) (outcome, error) {
			return c.keepAlive(ctx, httpClients, lasting)
		})
	}
	halves := func(of string, v httpVersion) {
		half := &halfLoad{bench: b, of: of, way: way{network: "tcp", encrypted: v.encrypted}, lasting: lasting}
		add(httpServerApart(), httpHalfSection, httpHalfName(of, v), v, requests(), !v.encrypted, half.run)
	}
	halves(broker, httpVersion{})
	halves(byHost, httpVersion{})
	halves(broker, httpVersion{encrypted: true})
	for _, v := range httpVersions() {
		for _, upload := range []bool{false, true} {
			add(httpServer(), httpBulkSection, httpBulkName(v, upload), v, volume(), !v.h2, func(ctx context.Context, c httpClient) (outcome, error) {
				return c.bulk(ctx, upload)
			})
		}
	}
	return all
}

// keepAlive asks as fast as answers come.
func (c httpClient) keepAlive(ctx context.Context, clients int, lasting time.Duration) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, lasting+30*time.Second)
	defer cancel()
	askers, undo, err := c.askers(ctx, clients)
	defer undo()
	if err != nil {
		return outcome{}, err
	}
	began := time.Now()
	until := began.Add(lasting)
	took, err := together(askers, func(ask func() error) (took []time.Duration, err error) {
		for now := time.Now(); now.Before(until); {
			if err := ask(); err != nil {
				return took, err
			}
			after := time.Now()
			took = append(took, after.Sub(now))
			now = after
		}
		return took, nil
	})
	return timedOutcome(took, time.Since(began)), err
}

func timedOutcome(took []time.Duration, lasted time.Duration) outcome {
	slices.Sort(took)
	return outcome{work: float64(len(took)), duration: lasted, latency: latency{median: percentile(took, 50), p99: percentile(took, 99)}}
}

// askers are clients that each ask for the small answer when called: with a
// connection of their own, or a stream of one that they share.
func (c httpClient) askers(ctx context.Context, clients int) (all []func() error, undo func(), err error) {
	if c.h2 {
		client, closeAll := c.library()
		for range clients {
			all = append(all, func() error {
				r, err := c.request(ctx, "GET", smallPath, nil, 0)
				if err != nil {
					return err
				}
				_, err = do(client, r, true)
				return err
			})
		}
		return all, closeAll, all[0]()
	}
	var wires []*wire
	stop := func() {}
	undo = func() {
		stop()
		for _, w := range wires {
			w.close()
		}
	}
	for range clients {
		w, err := c.dialWire(ctx)
		if err != nil {
			return nil, undo, err
		}
		wires, all = append(wires, w), append(all, w.ask)
	}
	unwatch := context.AfterFunc(ctx, func() {
		for _, w := range wires {
			_ = w.conn.SetDeadline(time.Unix(1, 0))
		}
	})
	stop = func() { unwatch() }
	return all, undo, nil
}

// together runs f for every asker and joins what it returns, in no order.
func together(askers []func() error, f func(func() error) ([]time.Duration, error)) ([]time.Duration, error) {
	var (
		owned    sync.WaitGroup
		mu       sync.Mutex
		all      []time.Duration
		failures []error
	)
	for _, ask := range askers {
		owned.Go(func() {
			took, err := f(ask)
			mu.Lock()
			defer mu.Unlock()
			all, failures = append(all, took...), append(failures, err)
		})
	}
	owned.Wait()
	return all, errors.Join(failures...)
}

// bulk moves 100 MiB in one body.
func (c httpClient) bulk(ctx context.Context, upload bool) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	client, closeAll := c.library()
	defer closeAll()
	r, err := c.request(ctx, "GET", downPath+strconv.Itoa(httpBulkBytes), nil, 0)
	if upload {
		r, err = c.request(ctx, "PUT", upPath, zeros(httpBulkBytes), httpBulkBytes)
	}
	if err != nil {
		return outcome{}, err
	}
	began := time.Now()
	n, err := do(client, r, c.h2)
	if err == nil && !upload && n != httpBulkBytes {
		err = io.ErrUnexpectedEOF
	}
	return outcome{work: httpBulkBytes, duration: time.Since(began)}, err
}

// zeros is a body of so many bytes.
func zeros(n int64) io.Reader { return io.LimitReader(endless{}, n) }

type endless struct{}

// Read fills p with nothing in particular.
func (endless) Read(p []byte) (int, error) { return len(p), nil }
