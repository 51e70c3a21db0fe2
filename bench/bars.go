package main

import (
	"fmt"
	"math"
	"time"
)

// bar is one of the project's bars for the data path and what came of it.
type bar struct {
	what, asked, measured string
	known, met            bool
}

func (b bar) verdict() string {
	switch {
	case !b.known:
		return "not measured"
	case b.met:
		return "met"
	default:
		return "**not met**"
	}
}

// bars judges a run. Ratios are those of rounds, to the peer itself.
func bars(r results) []bar {
	var all []bar
	for _, clients := range []int{1, 8} {
		for _, mode := range []string{"simple", "prepared"} {
			name := loadName(selectName(mode, clients), "tcp", false)
			all = append(all, selectBar(r, name), cpuBar(r, name))
		}
	}
	for _, clients := range []int{1, 8} {
		all = append(all, openingBar(r, loadName(reconnectName(clients), "tcp", false)))
	}
	peers := []string{haproxy, nginx, pgbouncer}
	for _, what := range []string{"COPY out", "COPY in"} {
		all = append(all, peerBar(r, loadName(what, "tcp", false), "≥ 0.95 × the best peer", 0.95, peers))
	}
	for _, upload := range []bool{true, false} {
		all = append(all, peerBar(r, loadName(rawName(upload), "tcp", false), "≥ the best relay beside it", 1, peers))
	}
	for _, mode := range []string{"simple", "prepared"} {
		for _, clients := range []int{1, 8} {
			name := loadName(pointSelectName(mode, clients), "tcp", false)
			all = append(all, peerBar(r, name, "≥ HAProxy", 1, []string{haproxy}))
		}
	}
	for _, encrypted := range []bool{true, false} {
		for _, clients := range []int{1, 8} {
			name := loadName(mysqlReconnectName(cachingSHA2Full(encrypted), clients), "tcp", encrypted)
			all = append(all, peerBar(r, name, "≥ 1.0 × direct", 1, []string{direct}))
		}
	}
	for _, upload := range []bool{true, false} {
		all = append(all, peerBar(r, loadName(scpName(upload), "tcp", false), "≥ 0.6 × direct", 0.6, []string{direct}))
	}
	for _, clients := range []int{1, 8} {
		for _, mode := range []string{"simple", "prepared"} {
			all = append(all, observedBar(r, loadName(observedName(mode, clients), "tcp", false)))
		}
	}
	all = append(all, peerBar(r, httpSmallName(httpVersion{}), "≥ 0.8 × nginx, one core each", 0.8, []string{nginx}))
	forwarding := peerBar(r, httpSmallName(httpVersion{}), "≥ 0.8 × nginx forwarding by host, one core each", 0.8, []string{byHost})
	all = append(all, forwarding)
	all = append(all, addedBar(r, httpHalfName(broker, httpVersion{})), addedBar(r, httpHalfName(byHost, httpVersion{})), memoryBar(r))
	for _, held := range []int{1000, 5000} {
		all = append(all, idleBar(r, held))
	}
	return append(all, startBar(r))
}

func selectBar(r results, name string) bar {
	return peerBar(r, name, "≥ HAProxy and ≥ nginx", 1, []string{haproxy, nginx})
}

// peerBar asks for a rate of at least factor times that of every peer.
func peerBar(r results, name, asked string, factor float64, peers []string) bar {
	result := bar{what: name, asked: asked, met: true}
	c, _ := r.find(name)
	ours, ok := c.find(broker)
	if !ok {
		return result
	}
	worst, who := math.Inf(1), ""
	for _, peer := range peers {
		theirs, ok := c.find(peer)
		if !ok {
			continue
		}
		if quotient, ok := ratio(ours, theirs, rateOf); ok && quotient < worst {
			worst, who = quotient, peer
		}
	}
	if who == "" {
		return result
	}
	result.known, result.met = true, worst >= factor
	result.measured = fmt.Sprintf("%.2f × %s", worst, who)
	return result
}

// observedBar is what metrics and traces cost.
func observedBar(r results, name string) bar {
	result := bar{what: name, asked: "> 0.98 × without"}
	c, _ := r.find(name)
	with, ok := c.find(brokerObserved)
	without, found := c.find(broker)
	if !ok || !found {
		return result
	}
	quotient, ok := ratio(with, without, rateOf)
	if !ok {
		return result
	}
	result.known, result.met = true, quotient > 0.98
	result.measured = fmt.Sprintf("%.3f × without", quotient)
	return result
}

func cpuBar(r results, name string) bar {
	result := bar{what: name + ": CPU a transaction", asked: "≤ 0.8 × HAProxy"}
	c, _ := r.find(name)
	ours, ok := c.find(broker)
	theirs, found := c.find(haproxy)
	if !ok || !found {
		return result
	}
	quotient, ok := ratio(ours, theirs, costOf)
	if !ok {
		return result
	}
	result.known, result.met = true, quotient <= 0.8
	result.measured = fmt.Sprintf("%.2f × HAProxy", quotient)
	return result
}

func openingBar(r results, name string) bar {
	result := peerBar(r, name, "≥ 1.9 × direct", 1.9, []string{direct})
	result.what = "opening connections: " + result.what
	return result
}

func idleBar(r results, held int) bar {
	result := bar{what: fmt.Sprintf("an idle pair, %d held", held), asked: "≤ 3 KiB of RSS, two descriptors"}
	for _, row := range r.idle {
		if row.contender != broker || row.connections != held || row.failure != "" {
			continue
		}
		result.known = true
		// A few more than two a pair are those of the process, not of pairs.
		result.met = row.perConnectionKiB <= 3 && row.perConnectionDescriptors < 2.05
		result.measured = fmt.Sprintf("%.1f KiB, %.1f descriptors", row.perConnectionKiB, row.perConnectionDescriptors)
	}
	return result
}

func startBar(r results) bar {
	result := bar{what: "start-up to the first accepted connection", asked: "< 50 ms"}
	for _, row := range r.starts {
		if row.contender == broker && len(row.accepted) > 0 {
			result.known = true
			result.met = median(row.accepted) < 50*time.Millisecond
			result.measured = milliseconds(median(row.accepted)) + " ms"
		}
	}
	return result
}

// addedBar is about what the broker adds to the 99th percentile of direct, the
// median of the rounds.
func addedBar(r results, name string) bar {
	result := bar{what: name + ": added to the 99th percentile", asked: "≤ 1 ms"}
	c, _ := r.find(name)
	ours, ok := c.find(broker)
	theirs, found := c.find(direct)
	if !ok || !found {
		return result
	}
	base := map[int]time.Duration{}
	for _, s := range theirs.samples {
		base[s.round] = s.latency.p99
	}
	var added []time.Duration
	for _, s := range ours.samples {
		if without, ok := base[s.round]; ok {
			added = append(added, s.latency.p99-without)
		}
	}
	result.known = len(added) > 0
	result.met = median(added) <= time.Millisecond
	result.measured = fmt.Sprintf("%.2f ms", float64(median(added))/float64(time.Millisecond))
	return result
}

// memoryBar is about the connector that needs the most.
func memoryBar(r results) bar {
	result := bar{what: "http memory while 1 GiB streams both ways", asked: "< 64 MiB through every connector", met: true}
	worst := memoryRow{}
	for _, m := range r.memory {
		result.known = true
		result.met = result.met && m.failure == "" && m.peakKiB < 64<<10
		if m.peakKiB > worst.peakKiB {
			worst = m
		}
	}
	if result.known {
		result.measured = fmt.Sprintf("%.1f MiB (%s)", worst.peakKiB/1024, worst.name)
	}
	return result
}
