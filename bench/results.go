package main

import (
	"strings"
	"time"
)

// Names of the contenders, in the order of the tables.
const (
	direct = "direct"
	broker = "broker"
	// brokerObserved is the broker with metrics, traces and somebody who reads them.
	brokerObserved = "broker, observed"
	// brokerSpare is the broker that begins sessions ahead (spareConnections).
	brokerSpare = "broker, spare"
	unmatched   = "broker, no match" // no service matches: no credential is added
	bareProxy   = "net/http alone"   // Go's reverse proxy and nothing else: what the broker is built on
	haproxy     = "HAProxy"
	nginx       = "nginx"
	byHost      = "nginx, by host" // of HTTP: its target is what each request names
	pgbouncer   = "PgBouncer"
	sshJump     = "ssh -W"
)

// unit says what a load counts, and how its cost is scaled.
type unit struct {
	rate string // heading of the throughput column
	cost string // heading of the CPU column
	// rateDivisor turns work a second into the rate column's unit, costScale
	// CPU seconds per piece of work into the cost column's.
	rateDivisor, costScale float64
}

func transactions() unit {
	return unit{rate: "TPS", cost: "CPU s / 100k", rateDivisor: 1, costScale: 1e5}
}

func requests() unit {
	return unit{rate: "requests/s", cost: "CPU s / 100k", rateDivisor: 1, costScale: 1e5}
}

func volume() unit {
	return unit{rate: "MB/s", cost: "CPU s / GB", rateDivisor: 1e6, costScale: 1e9}
}

// sample is one timed run of a load through one contender.
type sample struct {
	round int
	rate  float64 // work a second
	cost  float64 // proxy CPU seconds per piece of work; 0 for direct
	// latency is the zero value where a load does not measure it.
	latency latency
}

// latency is how long single pieces of work took.
type latency struct{ median, p99 time.Duration }

// series is everything measured of one contender under one load.
type series struct {
	contender string
	samples   []sample
	failure   string // why there are fewer samples than rounds
}

// comparison is one load measured through every contender that can carry it.
type comparison struct {
	section, name string
	unit          unit
	series        []series
}

// find returns the contender's series; ok is false when it has no sample.
func (c comparison) find(contender string) (series, bool) {
	for _, s := range c.series {
		if s.contender == contender && len(s.samples) > 0 {
			return s, true
		}
	}
	return series{}, false
}

// timed says whether the load measured latencies.
func (c comparison) timed() bool {
	for _, s := range c.series {
		for _, one := range s.samples {
			if one.latency != (latency{}) {
				return true
			}
		}
	}
	return false
}

// idleRow is what one proxy holds with a number of idle connections through it.
type idleRow struct {
	contender   string
	connections int
	rssKiB      float64
	descriptors int
	// perConnectionKiB and perConnectionDescriptors are what was added to the
	// fresh process; 0 at zero connections.
	perConnectionKiB, perConnectionDescriptors float64
	// furtherKiB is what each connection added since the row before: a
	// runtime's fixed costs are not in it.
	furtherKiB float64
	failure    string
}

// leftRow is what one proxy still holds after its clients have gone.
type leftRow struct {
	contender   string
	rssKiB      float64
	descriptors int
}

// startRow is how long one proxy takes from exec.
type startRow struct {
	contender string
	accepted  []time.Duration // to the first accepted connection
	ready     []time.Duration // to the first finished PostgreSQL handshake on it
	failure   string
}

// memoryRow is the broker's peak while a body streamed each way.
type memoryRow struct {
	name    string
	peakKiB float64
	seconds float64
	refused bool // the upload, as it must be
	failure string
}

// fact is one line of the machine's description.
type fact struct{ name, value string }

// results is one whole run.
type results struct {
	date    time.Time
	rounds  int
	seconds int
	quick   bool
	// load is the load average of the last minute before the run, per core.
	load        float64
	facts       []fact
	comparisons []comparison
	idle        []idleRow
	left        []leftRow
	starts      []startRow
	memory      []memoryRow
}

// find returns the comparison of that name.
func (r results) find(name string) (comparison, bool) {
	for _, c := range r.comparisons {
		if c.name == name {
			return c, true
		}
	}
	return comparison{}, false
}

// failures lists what could not be measured, one line each.
func (r results) failures() []string {
	var all []string
	add := func(where, who, why string) {
		if why != "" {
			all = append(all, strings.Join([]string{where, who, why}, ": "))
		}
	}
	for _, c := range r.comparisons {
		for _, s := range c.series {
			add(c.name, s.contender, s.failure)
		}
	}
	for _, i := range r.idle {
		add("idle", i.contender, i.failure)
	}
	for _, s := range r.starts {
		add("startup", s.contender, s.failure)
	}
	for _, m := range r.memory {
		add("http memory", m.name, m.failure)
	}
	return all
}
