package main

import (
	"errors"
	"fmt"
)

// sysbenchReport is what sysbench says at its end.
type sysbenchReport struct {
	transactions int64
	tps          float64
}

// parseSysbench reads the closing report of sysbench 1.0. It does not count a
// transaction that failed; ignored ones and reconnects would make the figure
// one of something else, so they are errors.
func parseSysbench(output []byte) (sysbenchReport, error) {
	var r sysbenchReport
	transactions, err := figureIn(output, `transactions: +(\d+) `)
	if err != nil {
		return r, fmt.Errorf("sysbench: %w", err)
	}
	tps, err := figureIn(output, `transactions: +\d+ +\(([0-9.]+) per sec\.\)`)
	if err != nil {
		return r, fmt.Errorf("sysbench: %w", err)
	}
	for _, what := range []string{"ignored errors", "reconnects"} {
		number, err := figureIn(output, what+`: +(\d+) `)
		if err != nil {
			return r, fmt.Errorf("sysbench: %w", err)
		}
		if number > 0 {
			return r, fmt.Errorf("sysbench: %v %s, want none", number, what)
		}
	}
	r = sysbenchReport{transactions: int64(transactions), tps: tps}
	if r.transactions == 0 {
		return r, errors.New("sysbench: no transaction finished in the time given")
	}
	return r, nil
}
