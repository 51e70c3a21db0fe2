package main

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// dialInterval is how often a starting relay is tried, and so the precision of
// what is measured.
const dialInterval = 200 * time.Microsecond

// startups starts every relay a number of times, in turns.
func (b *bench) startups(ctx context.Context) []startRow {
	const times = 20
	rows := make([]startRow, len(b.relays))
	order := make([]int, len(b.relays))
	for i, r := range b.relays {
		rows[i].contender, order[i] = r.name, i
	}
	for round := range times {
		for _, i := range rotated(order, round) {
			if rows[i].failure != "" || ctx.Err() != nil {
				continue
			}
			accepted, ready, err := b.startOnce(ctx, b.relays[i])
			if err != nil {
				rows[i].failure = err.Error()
				progress("startup: %s: %v", rows[i].contender, err)
				continue
			}
			rows[i].accepted = append(rows[i].accepted, accepted)
			rows[i].ready = append(rows[i].ready, ready)
		}
	}
	for _, row := range rows {
		progress("startup: %s: %s to the first connection, %s to the first session",
			row.contender, median(row.accepted), median(row.ready))
	}
	return rows
}

// startOnce measures from just before exec to the first accepted connection,
// and to the end of a PostgreSQL handshake on that same connection.
func (b *bench) startOnce(ctx context.Context, r relay) (accepted, ready time.Duration, err error) {
	fake, err := b.server(ctx, fakePostgres())
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	running, err := b.fleet.spawn(r, fake.target(false))
	if err != nil {
		return 0, 0, err
	}
	defer running.stop()
	e := running.endpoint("tcp")
	var first net.Conn
	err = running.process.await(ctx, dialInterval, func(ctx context.Context) error {
		var dialer net.Dialer
		var err error
		first, err = dialer.DialContext(ctx, e.network(), e.address())
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	accepted = time.Since(began)
	config, err := pgConfig(e)
	if err != nil {
		first.Close()
		return 0, 0, err
	}
	config.DialFunc = func(context.Context, string, string) (net.Conn, error) { return first, nil }
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		first.Close()
		return 0, 0, err
	}
	ready = time.Since(began)
	return accepted, ready, conn.Close(ctx)
}
