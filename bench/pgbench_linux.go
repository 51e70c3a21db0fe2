package main

import (
	"context"
	"path/filepath"
	"strconv"
)

// pgbenchLoad runs select-only transactions.
type pgbenchLoad struct {
	mode      string // simple or prepared
	clients   int
	reconnect bool // a new connection for every transaction
	seconds   int
}

func (l pgbenchLoad) run(ctx context.Context, e endpoint) (outcome, error) {
	bin, err := postgresBin()
	if err != nil {
		return outcome{}, err
	}
	threads := min(l.clients, 2)
	args := []string{
		"-S", "-n", "-M", l.mode, "-c", strconv.Itoa(l.clients), "-j", strconv.Itoa(threads),
		"-T", strconv.Itoa(l.seconds), "-s", strconv.Itoa(pgbenchScale),
	}
	if l.reconnect {
		args = append(args, "-C")
	}
	output, err := runClient(ctx, l.seconds, pgEnvironment(e), filepath.Join(bin, "pgbench"), args...)
	if err != nil {
		return outcome{}, err
	}
	report, err := parsePgbench(output)
	if err != nil {
		return outcome{}, err
	}
	return outcome{work: float64(report.transactions), rate: report.tps}, nil
}
