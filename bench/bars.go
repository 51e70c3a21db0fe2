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
