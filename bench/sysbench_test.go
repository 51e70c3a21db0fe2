package main

import (
	"strings"
	"testing"
)

const sysbenchOutput = `sysbench 1.0.20 (using system LuaJIT 2.1.0-beta3)

Running the test with following options:
Number of threads: 8
Initializing random number generator from current time


Initializing worker threads...

Threads started!

SQL statistics:
    queries performed:
        read:                            31290
        write:                           0
        other:                           0
        total:                           31290
    transactions:                        31290  (15588.44 per sec.)
    queries:                             31290  (15588.44 per sec.)
    ignored errors:                      0      (0.00 per sec.)
    reconnects:                          0      (0.00 per sec.)

General statistics:
    total time:                          2.0036s
    total number of events:              31290

Latency (ms):
         min:                                    0.03
         avg:                                    0.51
         max:                                   33.12
         95th percentile:                        0.99
         sum:                                15986.22

Threads fairness:
    events (avg/stddev):           3911.2500/657.33
    execution time (avg/stddev):   1.9983/0.00

`

func TestParseSysbench(t *testing.T) {
	with := func(old, new string) string {
		t.Helper()
		if !strings.Contains(sysbenchOutput, old) {
			t.Fatalf("the output has no %q", old)
		}
		return strings.Replace(sysbenchOutput, old, new, 1)
	}
	for _, test := range []struct {
		name, output string
		want         sysbenchReport
		problem      string
	}{
		{"a run", sysbenchOutput, sysbenchReport{transactions: 31290, tps: 15588.44}, ""},
		{"ignored errors", with("ignored errors:                      0", "ignored errors:                      3"), sysbenchReport{}, "3 ignored errors"},
		{"reconnects", with("reconnects:                          0", "reconnects:                          2"), sysbenchReport{}, "2 reconnects"},
		{"nothing done", with("transactions:                        31290", "transactions:                        0"), sysbenchReport{}, "no transaction finished"},
		{"no rate", with("(15588.44 per sec.)", "(many)"), sysbenchReport{}, "figure missing"},
		{"cut off", sysbenchOutput[:strings.Index(sysbenchOutput, "ignored")], sysbenchReport{}, "figure missing"},
		{"empty", "", sysbenchReport{}, "figure missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseSysbench([]byte(test.output))
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

func FuzzParseSysbench(f *testing.F) {
	f.Add([]byte(sysbenchOutput))
	f.Add([]byte("transactions: 99999999999999999999 (1.2.3 per sec.)\nignored errors: 0 \nreconnects: 0 "))
	f.Fuzz(func(t *testing.T, output []byte) {
		if report, err := parseSysbench(output); err == nil && report.transactions == 0 {
			t.Errorf("accepted %+v", report)
		}
	})
}
