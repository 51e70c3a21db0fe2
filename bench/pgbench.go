package main

import (
	"errors"
	"fmt"
)

// pgbenchReport is what pgbench says at its end.
type pgbenchReport struct {
	transactions int64
	failed       int64
	tps          float64 // with -C reconnection times are in it, otherwise the first connects are not
}

// parsePgbench reads the closing report of pgbench 14 and newer.
func parsePgbench(output []byte) (pgbenchReport, error) {
	var r pgbenchReport
	processed, err := figureIn(output, `number of transactions actually processed: (\d+)`)
	if err != nil {
		return r, fmt.Errorf("pgbench: %w", err)
	}
	tps, err := figureIn(output, `tps = ([0-9.]+) \(`)
	if err != nil {
		return r, fmt.Errorf("pgbench: %w", err)
	}
	// PostgreSQL 14 does not print this line.
	failed, err := figureIn(output, `number of failed transactions: (\d+)`)
	if err != nil && !errors.Is(err, errNoFigure) {
		return r, fmt.Errorf("pgbench: %w", err)
	}
	r = pgbenchReport{transactions: int64(processed), failed: int64(failed), tps: tps}
	if r.failed > 0 {
		return r, fmt.Errorf("pgbench: %d of %d transactions failed", r.failed, r.failed+r.transactions)
	}
	if r.transactions == 0 {
		return r, errors.New("pgbench: no transaction finished in the time given")
	}
	return r, nil
}
