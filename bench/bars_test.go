package main

import (
	"testing"
	"time"
)

func findBar(t *testing.T, r results, what string) bar {
	t.Helper()
	for _, one := range bars(r) {
		if one.what == what {
			return one
		}
	}
	t.Fatalf("no bar %q", what)
	return bar{}
}

func TestBars(t *testing.T) {
	r := exampleRun()
	for _, test := range []struct{ what, measured, verdict string }{
		{"select simple, 8 clients, tcp", "1.60 × HAProxy", "met"},
		{"select simple, 8 clients, tcp: CPU a transaction", "1.60 × HAProxy", "**not met**"},
		{"select prepared, 1 client, tcp", "", "not measured"},
		{"COPY out, tcp", "0.80 × HAProxy", "**not met**"},
		{"an idle pair, 1000 held", "2.0 KiB, 2.0 descriptors", "met"},
		{"an idle pair, 5000 held", "4.1 KiB, 6.0 descriptors", "**not met**"},
		{"start-up to the first accepted connection", "13.0 ms", "met"},
		{"opening connections: reconnect, 8 clients, tcp", "", "not measured"},
	} {
		got := findBar(t, r, test.what)
		if got.measured != test.measured || got.verdict() != test.verdict {
			t.Errorf("%s: %q, %s, want %q, %s", test.what, got.measured, got.verdict(), test.measured, test.verdict)
		}
	}
}

func TestOpeningBarComparesToDirect(t *testing.T) {
	name := loadName(reconnectName(8), "tcp", false)
	r := results{comparisons: []comparison{{name: name, unit: transactions(), series: []series{
		rates(direct, 100, 100), rates(broker, 189, 189), rates(pgbouncer, 3600, 3600),
	}}}}
	got := findBar(t, r, "opening connections: "+name)
	if got.measured != "1.89 × direct" || got.verdict() != "**not met**" {
		t.Errorf("got %q, %s", got.measured, got.verdict())
	}
}

func TestMySQLBars(t *testing.T) {
	selects := loadName(pointSelectName("prepared", 8), "tcp", false)
	inside := loadName(mysqlReconnectName(cachingSHA2Full(true), 1), "tcp", true)
	byRSA := loadName(mysqlReconnectName(cachingSHA2Full(false), 8), "tcp", false)
	if inside == byRSA {
		t.Fatal("the two ways of the password have one name")
	}
	r := results{comparisons: []comparison{
		{name: selects, unit: transactions(), series: []series{
			rates(direct, 300, 300), rates(broker, 101, 99), rates(haproxy, 100, 100), rates(nginx, 200, 200),
		}},
		{name: inside, unit: transactions(), series: []series{rates(direct, 100, 100), rates(broker, 120, 120)}},
		{name: byRSA, unit: transactions(), series: []series{
			rates(direct, 100, 100), rates(broker, 90, 90), rates(haproxy, 10, 10),
		}},
	}}
	for _, test := range []struct{ what, measured, verdict string }{
		{selects, "1.00 × HAProxy", "met"},
		{inside, "1.20 × direct", "met"},
		{byRSA, "0.90 × direct", "**not met**"},
		{loadName(pointSelectName("simple", 1), "tcp", false), "", "not measured"},
	} {
		if got := findBar(t, r, test.what); got.measured != test.measured || got.verdict() != test.verdict {
			t.Errorf("%s: %q, %s, want %q, %s", test.what, got.measured, got.verdict(), test.measured, test.verdict)
		}
	}
}

func TestBarsOfAnEmptyRun(t *testing.T) {
	for _, one := range bars(results{}) {
		if one.verdict() != "not measured" {
			t.Errorf("%s: %s without a measurement", one.what, one.verdict())
		}
	}
}

func TestStartBarIsStrict(t *testing.T) {
	r := results{starts: []startRow{{contender: broker, accepted: []time.Duration{50 * time.Millisecond}}}}
	if got := startBar(r); got.verdict() != "**not met**" {
		t.Errorf("exactly 50 ms: %s", got.verdict())
	}
}

func TestHTTPBars(t *testing.T) {
	small, half := httpSmallName(httpVersion{}), httpHalfName(broker, httpVersion{})
	late := func(contender string, p99 ...time.Duration) series {
		s := series{contender: contender}
		for round, one := range p99 {
			s.samples = append(s.samples, sample{round: round, rate: 1, latency: latency{p99: one}})
		}
		return s
	}
	r := results{
		comparisons: []comparison{
			{name: small, unit: requests(), series: []series{rates(direct, 300, 300), rates(broker, 79, 81), rates(nginx, 100, 100)}},
			{name: half, unit: requests(), series: []series{
				late(direct, 1*time.Millisecond, 9*time.Millisecond), late(broker, 2*time.Millisecond, 10*time.Millisecond),
			}},
		},
		memory: []memoryRow{{name: "a", peakKiB: 20 << 10}, {name: "b", peakKiB: 64 << 10}},
	}
	memory := "http memory while 1 GiB streams both ways"
	for _, test := range []struct{ what, measured, verdict string }{
		{small, "0.80 × nginx", "met"},
		{half + ": added to the 99th percentile", "1.00 ms", "met"},
		{memory, "64.0 MiB (b)", "**not met**"},
	} {
		if got := findBar(t, r, test.what); got.measured != test.measured || got.verdict() != test.verdict {
			t.Errorf("%s: %q, %s, want %q, %s", test.what, got.measured, got.verdict(), test.measured, test.verdict)
		}
	}
	r.memory = []memoryRow{{name: "a", failure: "it broke"}}
	if got := findBar(t, r, memory); got.verdict() != "**not met**" {
		t.Errorf("a connector that failed: %s", got.verdict())
	}
}
