package main

import (
	"strings"
	"testing"
)

const pgbenchOutput = `pgbench (15.18)
transaction type: <builtin: select only>
scaling factor: 10
query mode: simple
number of clients: 8
number of threads: 2
maximum number of tries: 1
duration: 3 s
number of transactions actually processed: 35001
number of failed transactions: 0 (0.000%)
latency average = 0.685 ms
initial connection time = 31.007 ms
tps = 11677.25 (without initial connection time)
`

func TestParsePgbench(t *testing.T) {
	reconnecting := strings.NewReplacer(
		"initial connection time = 31.007 ms", "average connection time = 2.1 ms",
		"tps = 11677.25 (without initial connection time)", "tps = 419.5 (including reconnection times)",
	).Replace(pgbenchOutput)
	older := strings.Replace(pgbenchOutput, "number of failed transactions: 0 (0.000%)\n", "", 1)
	for _, test := range []struct {
		name, output string
		want         pgbenchReport
		problem      string
	}{
		{"one connection", pgbenchOutput, pgbenchReport{transactions: 35001, tps: 11677.25}, ""},
		{"reconnecting", reconnecting, pgbenchReport{transactions: 35001, tps: 419.5}, ""},
		{"without the line of failures", older, pgbenchReport{transactions: 35001, tps: 11677.25}, ""},
		{"failed transactions", strings.Replace(pgbenchOutput, "failed transactions: 0", "failed transactions: 3", 1), pgbenchReport{}, "3 of 35004 transactions failed"},
		{"nothing done", strings.Replace(pgbenchOutput, "processed: 35001", "processed: 0", 1), pgbenchReport{}, "no transaction finished"},
		{"no rate", strings.Replace(pgbenchOutput, "tps = ", "", 1), pgbenchReport{}, "figure missing"},
		{"empty", "", pgbenchReport{}, "figure missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parsePgbench([]byte(test.output))
			if test.problem != "" {
				if err == nil || !strings.Contains(err.Error(), test.problem) {
					t.Fatalf("error %v, want %q", err, test.problem)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func FuzzParsePgbench(f *testing.F) {
	f.Add([]byte(pgbenchOutput))
	f.Add([]byte("tps = 1.2.3 (\nnumber of transactions actually processed: 99999999999999999999\n"))
	f.Fuzz(func(t *testing.T, output []byte) {
		if report, err := parsePgbench(output); err == nil && (report.transactions == 0 || report.failed != 0) {
			t.Errorf("accepted %+v", report)
		}
	})
}
