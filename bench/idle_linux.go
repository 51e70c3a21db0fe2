package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// spareDescriptors is what this program needs besides two for every held
// connection: its own of the client and that of the fake target.
const spareDescriptors = 200

// idle measures what each relay holds while connections through it do nothing.
func (b *bench) idle(ctx context.Context) ([]idleRow, []leftRow) {
	var rows []idleRow
	var left []leftRow
	for _, r := range b.relays {
		progress("idle connections: %s", r.name)
		held, gone, err := b.idleOf(ctx, r)
		if err != nil {
			progress("idle connections: %s: %v", r.name, err)
			held = append(held, idleRow{contender: r.name, failure: err.Error()})
		} else {
			left = append(left, gone)
		}
		rows = append(rows, held...)
	}
	return rows, left
}

// idleOf fills a fresh process step by step.
func (b *bench) idleOf(ctx context.Context, r relay) ([]idleRow, leftRow, error) {
	fake, err := b.server(ctx, fakePostgres())
	if err != nil {
		return nil, leftRow{}, err
	}
	running, err := b.fleet.start(ctx, r, fake.target(false))
	if err != nil {
		return nil, leftRow{}, err
	}
	defer running.stop()
	var held holder
	defer held.close()
	var rows []idleRow
	for _, level := range []int{0, 100, 1000, 5000} {
		if uint64(2*level+spareDescriptors) > b.limit {
			return rows, leftRow{}, fmt.Errorf("%d connections: the limit is %d descriptors, raise it with ulimit -n", level, b.limit)
		}
		if err := held.fill(ctx, running.endpoint("tcp"), level); err != nil {
			return rows, leftRow{}, fmt.Errorf("%d connections: %w", level, err)
		}
		now, err := b.settled(ctx, running)
		if err != nil {
			return rows, leftRow{}, err
		}
		row := idleRow{contender: r.name, connections: level, rssKiB: now.rssKiB, descriptors: now.descriptors}
		if level > 0 {
			row.perConnectionKiB = (now.rssKiB - rows[0].rssKiB) / float64(level)
			previous := rows[len(rows)-1]
			row.furtherKiB = (now.rssKiB - previous.rssKiB) / float64(level-previous.connections)
			row.perConnectionDescriptors = float64(now.descriptors-rows[0].descriptors) / float64(level)
		}
		rows = append(rows, row)
	}
	held.close()
	now, err := b.settled(ctx, running)
	return rows, leftRow{contender: r.name, rssKiB: now.rssKiB, descriptors: now.descriptors}, err
}

// settled waits a moment: closing, and a runtime's cleaning up, take time.
func (b *bench) settled(ctx context.Context, running *instance) (usage, error) {
	pause := 5 * time.Second
	if b.options.quick {
		pause = time.Second
	}
	select {
	case <-ctx.Done():
		return usage{}, context.Cause(ctx)
	case <-time.After(pause):
	}
	return running.usage()
}

// holder keeps connections open.
type holder struct {
	mu    sync.Mutex
	conns []net.Conn
}

// fill opens connections until there are level of them, several at a time.
func (h *holder) fill(ctx context.Context, e endpoint, level int) error {
	const workers = 16
	var owned sync.WaitGroup
	turns := make(chan struct{}, level)
	for range level - len(h.conns) {
		turns <- struct{}{}
	}
	close(turns)
	failures := make(chan error, workers)
	for range workers {
		owned.Go(func() {
			for range turns {
				if err := h.open(ctx, e); err != nil {
					failures <- err
					return
				}
			}
		})
	}
	owned.Wait()
	close(failures)
	var all []error
	for err := range failures {
		all = append(all, err)
	}
	if len(all) > 0 {
		return errors.Join(slices.Compact(all)...)
	}
	return nil
}

// open logs in and asks one thing: PgBouncer has no connection to the target
// for a client that has not asked anything.
func (h *holder) open(ctx context.Context, e endpoint) error {
	conn, err := pgConnect(ctx, e)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, ";").ReadAll(); err != nil {
		conn.Close(ctx)
		return err
	}
	session, err := conn.Hijack()
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns = append(h.conns, session.Conn)
	return nil
}

func (h *holder) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, conn := range h.conns {
		conn.Close()
	}
	h.conns = nil
}
