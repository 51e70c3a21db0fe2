package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// arrivalsPerSecond leave every contender idle most of the time.
const arrivalsPerSecond = 20

// spare is the broker once more, with sessions that are begun ahead.
func (b *bench) spare() []relay {
	for _, r := range b.relays {
		if r.name == broker {
			r.name, r.prepare, r.only = brokerSpare, prepareSpares, "pg"
			return []relay{r}
		}
	}
	return nil
}

// arrivals are about programs that open a connection for one question and leave.
func (b *bench) arrivals() []load {
	var all []load
	for _, w := range postgresWays() {
		l := newLoad(postgres(), arrivalSection, arrivalName, w, transactions())
		l.quick = w == way{network: "tcp"}
		l.relays = b.spare()
		l.run = func(ctx context.Context, e endpoint) (outcome, error) { return arrive(ctx, e, b.options.seconds) }
		all = append(all, l)
	}
	return all
}

// arrive measures from the first byte to the answer of one question.
func arrive(ctx context.Context, e endpoint, seconds int) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds+30)*time.Second)
	defer cancel()
	config, err := pgConfig(e)
	if err != nil {
		return outcome{}, err
	}
	var took []time.Duration
	began := time.Now()
	for n := range seconds * arrivalsPerSecond {
		time.Sleep(time.Until(began.Add(time.Duration(n) * time.Second / arrivalsPerSecond)))
		came := time.Now()
		conn, err := pgconn.ConnectConfig(ctx, config)
		if err != nil {
			return outcome{}, fmt.Errorf("client %d: %w", n, err)
		}
		_, err = conn.Exec(ctx, "select 1").ReadAll()
		took = append(took, time.Since(came))
		_ = conn.Close(ctx)
		if err != nil {
			return outcome{}, fmt.Errorf("client %d: %w", n, err)
		}
	}
	slices.Sort(took)
	return outcome{
		work: float64(len(took)), duration: time.Since(began),
		latency: latency{median: percentile(took, 50), p99: percentile(took, 99)},
	}, nil
}
