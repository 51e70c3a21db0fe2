package main

import (
	"strings"
	"testing"
	"time"
)

// run is a small whole run in which the broker is better than every bar asks.
func exampleRun() results {
	name := loadName(selectName("simple", 8), "tcp", false)
	copies := loadName("COPY out", "tcp", false)
	return results{
		date:   time.Date(2026, 11, 23, 20, 35, 0, 0, time.UTC),
		rounds: 3, seconds: 1,
		facts: []fact{{"processor", "Example | 3000"}},
		comparisons: []comparison{
			{section: "Selects", name: name, unit: transactions(), series: []series{
				rates(direct, 1000, 1100, 900), rates(broker, 800, 880, 720), rates(haproxy, 500, 550, 450),
				rates(nginx, 400, 440, 360),
				{contender: pgbouncer, failure: "it\nexited"},
			}},
			{section: "Bulk", name: copies, unit: volume(), series: []series{
				rates(direct, 3e8, 3e8, 3e8), rates(broker, 2e8, 2e8, 2e8), rates(haproxy, 25e7, 25e7, 25e7),
			}},
		},
		idle: []idleRow{
			{contender: broker, rssKiB: 10240, descriptors: 12},
			{contender: broker, connections: 1000, rssKiB: 12288, descriptors: 2012, perConnectionKiB: 2.048, furtherKiB: 0.94, perConnectionDescriptors: 2},
			{contender: broker, connections: 5000, rssKiB: 30720, descriptors: 30012, perConnectionKiB: 4.096, perConnectionDescriptors: 6},
		},
		left:   []leftRow{{broker, 10241, 12}},
		starts: []startRow{{contender: broker, accepted: []time.Duration{13 * time.Millisecond}, ready: []time.Duration{15 * time.Millisecond}}},
	}
}

func TestRender(t *testing.T) {
	report := render(exampleRun())
	for _, want := range []string{
		"2026-11-23 20:35 UTC: 3 rounds, timed runs of 1 s",
		"absolute values mean nothing elsewhere",
		`| processor | Example \| 3000 |`,
		"| load | through | TPS, median | min–max | ratio to direct | relay CPU s / 100k |\n|---|---|---|---|---|---|\n",
		"| select simple, 8 clients, tcp | direct | 1000 | 900–1100 | 1.00 |  |",
		"|  | broker | 800 | 720–880 | 0.80 | 8000000.00 |",
		"|  | PgBouncer | failed |  |  |  |",
		"| COPY out, tcp | direct | 300 | 300–300 | 1.00 |  |",
		"| broker | 0 | 10.0 | 12 |  |  |  |",
		"| broker | 1000 | 12.0 | 2012 | 2.0 | 0.9 | 2.0 |",
		"| broker | 13.0 | 13.0–13.0 | 15.0 |",
		"### Not measured\n\n- select simple, 8 clients, tcp: PgBouncer: it exited\n",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
	if strings.Contains(report, "quick run") {
		t.Error("a full run calls itself quick")
	}
	if strings.Contains(report, beginMarker) || strings.Contains(report, endMarker) {
		t.Error("the report holds the markers itself")
	}
}

func TestRenderLeavesOutWhatWasNotAskedFor(t *testing.T) {
	report := render(results{quick: true})
	for _, heading := range []string{"### Idle", "### Start-up", "### Not measured", "### Machine"} {
		if strings.Contains(report, heading) {
			t.Errorf("an empty run has a section %q", heading)
		}
	}
	if strings.Contains(report, "busy") {
		t.Error("a machine without load is called busy")
	}
	if report := render(results{load: 0.6}); !strings.Contains(report, "a load of 0.6 a core") {
		t.Errorf("a busy machine is not mentioned:\n%s", report)
	}
	if !strings.Contains(report, "quick run") {
		t.Error("a quick run does not say so")
	}
}

func latencyRun() results {
	timed := rates(broker, 5000, 6000)
	for i := range timed.samples {
		timed.samples[i].latency = latency{median: 150 * time.Microsecond, p99: 300 * time.Microsecond}
	}
	r := exampleRun()
	r.comparisons = append(r.comparisons, comparison{section: "Latency", name: "one", unit: transactions(), series: []series{
		{contender: direct, failure: "gone"}, timed,
	}})
	return r
}

func TestRenderLatency(t *testing.T) {
	report := render(latencyRun())
	for _, want := range []string{
		"| load | through | TPS, median | min–max | ratio to direct | relay CPU s / 100k | latency µs, median | 99 % |\n",
		"| one | direct | failed |  |  |  |  |  |\n",
		"| 150 | 300 |\n",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
	if n := strings.Count(report, "latency"); n != 1 {
		t.Errorf("%d tables have latencies, want the one that measured them", n)
	}
}

func TestTablesAreRectangular(t *testing.T) {
	var width int
	for line := range strings.Lines(render(latencyRun())) {
		cells := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if cells == 0 {
			width = 0
		} else if width == 0 {
			width = cells
		}
		if cells != width {
			t.Errorf("%d cells, want %d: %s", cells, width, line)
		}
	}
}

func TestFigure(t *testing.T) {
	for value, want := range map[float64]string{0.1234: "0.12", 12.345: "12.3", 123.45: "123", 12345.6: "12346"} {
		if got := figure(value); got != want {
			t.Errorf("figure(%v) = %s, want %s", value, got, want)
		}
	}
}
