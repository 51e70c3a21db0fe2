package main

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"time"
)

// clientTimeout is for opening one connection.
const clientTimeout = 10 * time.Second

// opener makes a handle of Go's database/sql; nothing connects yet.
type opener func(endpoint) (*sql.DB, error)

// sqlLoad asks SELECT 1 again and again, for the drivers of database/sql.
type sqlLoad struct {
	open      opener
	clients   int
	reconnect bool // a new connection for every question
	latency   bool // is what is asked for
	seconds   int
}

func (l sqlLoad) run(ctx context.Context, e endpoint) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(l.seconds+30)*time.Second)
	defer cancel()
	db, err := l.open(e)
	if err != nil {
		return outcome{}, err
	}
	defer db.Close()
	if l.reconnect {
		db.SetMaxIdleConns(0)
	} else if err := l.warm(ctx, db); err != nil {
		return outcome{}, err
	}
	began := time.Now()
	took, err := l.ask(ctx, db, began.Add(time.Duration(l.seconds)*time.Second))
	if err != nil {
		return outcome{}, err
	}
	done := outcome{work: float64(len(took)), duration: time.Since(began)}
	if l.latency {
		slices.Sort(took)
		done.latency = latency{median: percentile(took, 50), p99: percentile(took, 99)}
	}
	return done, nil
}

// warm opens the connections that stay, one for each client.
func (l sqlLoad) warm(ctx context.Context, db *sql.DB) error {
	db.SetMaxOpenConns(l.clients)
	db.SetMaxIdleConns(l.clients)
	for range l.clients {
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
	}
	return nil
}

// ask returns how long every question took, in no order.
func (l sqlLoad) ask(ctx context.Context, db *sql.DB, until time.Time) ([]time.Duration, error) {
	var (
		owned    sync.WaitGroup
		mu       sync.Mutex
		all      []time.Duration
		failures []error
	)
	for range l.clients {
		owned.Go(func() {
			var took []time.Duration
			var err error
			for err == nil && time.Now().Before(until) {
				began := time.Now()
				if err = selectOne(ctx, db); err == nil {
					took = append(took, time.Since(began))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			if err != nil {
				failures = append(failures, err)
			}
		})
	}
	owned.Wait()
	return all, errors.Join(failures...)
}

func selectOne(ctx context.Context, db *sql.DB) error {
	var one int
	return db.QueryRowContext(ctx, "SELECT 1").Scan(&one)
}

// ready says that the target answers.
func ready(open opener, e endpoint) func(context.Context) error {
	return func(ctx context.Context) error {
		db, err := open(e)
		if err != nil {
			return err
		}
		defer db.Close()
		return selectOne(ctx, db)
	}
}
