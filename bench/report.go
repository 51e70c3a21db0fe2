package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// busyLoad is the load average a core above which the report warns.
const busyLoad = 0.25

// render writes the whole report as Markdown.
func render(r results) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Written by `script/bench` on %s: %s, timed runs of %d s, contenders in turns. ",
		r.date.Format(time.DateOnly+" 15:04 MST"), plural(r.rounds, "round"), r.seconds)
	if r.quick {
		b.WriteString("**A quick run: fewer loads, short, and so with wide margins.** ")
	}
	if r.load > busyLoad {
		fmt.Fprintf(&b, "**The machine was busy with something else: a load of %.1f a core before the start.** ", r.load)
	}
	b.WriteString("Everything runs on loopback and shares the cores, so absolute values mean nothing elsewhere; " +
		"compare the ratios, and only within one run.\n\n")
	renderFacts(&b, r.facts)
	renderBars(&b, bars(r))
	var done []string
	for _, c := range r.comparisons {
		if !slices.Contains(done, c.section) {
			done = append(done, c.section)
			renderSection(&b, c.section, r.comparisons)
		}
	}
	renderIdle(&b, r.idle, r.left)
	renderStarts(&b, r.starts)
	renderMemory(&b, r.memory)
	renderFailures(&b, r.failures())
	return b.String()
}

func renderFacts(b *strings.Builder, facts []fact) {
	rows := make([][]string, 0, len(facts))
	for _, f := range facts {
		rows = append(rows, []string{f.name, f.value})
	}
	table(b, "Machine", []string{"", ""}, rows)
}

func renderBars(b *strings.Builder, all []bar) {
	var rows [][]string
	for _, one := range all {
		rows = append(rows, []string{one.what, one.asked, one.measured, one.verdict()})
	}
	table(b, "Bars", []string{"bar", "asked", "measured", ""}, rows)
}

// renderSection is a row for every load and contender. Ratios are medians of
// the rounds' own ratios. Where latencies were taken they follow, as medians of
// the rounds' medians and 99th percentiles.
func renderSection(b *strings.Builder, section string, all []comparison) {
	var rows [][]string
	var u unit
	timed := false
	for _, c := range all {
		if c.section != section {
			continue
		}
		u = c.unit
		timed = timed || c.timed()
		for i, s := range c.series {
			name := c.name
			if i > 0 {
				name = ""
			}
			rows = append(rows, append([]string{name}, seriesRow(c, s)...))
		}
	}
	heads := []string{"load", "through", u.rate + ", median", "min–max", "ratio to direct", "relay " + u.cost, "latency µs, median", "99 %"}
	if !timed {
		heads = heads[:len(heads)-latencyColumns]
		for i, row := range rows {
			rows[i] = row[:len(heads)]
		}
	}
	table(b, section, heads, rows)
}

// latencyColumns are the last of a section.
const latencyColumns = 2

func seriesRow(c comparison, s series) []string {
	if len(s.samples) == 0 {
		return []string{s.contender, "failed", "", "", "", "", ""}
	}
	rates := s.each(rateOf)
	least, greatest := bounds(rates)
	divisor := c.unit.rateDivisor
	row := []string{
		s.contender, figure(median(rates) / divisor),
		figure(least/divisor) + "–" + figure(greatest/divisor), "", "",
		figure(median(s.each(medianLatencyOf))), figure(median(s.each(p99LatencyOf))),
	}
	if base, ok := c.find(direct); ok {
		if quotient, ok := ratio(s, base, rateOf); ok {
			row[3] = fmt.Sprintf("%.2f", quotient)
		}
	}
	if s.contender != direct && s.contender != sshJump {
		row[4] = fmt.Sprintf("%.2f", median(s.each(costOf))*c.unit.costScale)
	}
	return row
}

func renderIdle(b *strings.Builder, idle []idleRow, left []leftRow) {
	var rows [][]string
	for _, i := range idle {
		if i.failure != "" {
			continue
		}
		row := []string{i.contender, fmt.Sprint(i.connections), figure(i.rssKiB / 1024), fmt.Sprint(i.descriptors), "", "", ""}
		if i.connections > 0 {
			row[4] = fmt.Sprintf("%.1f", i.perConnectionKiB)
			row[5] = fmt.Sprintf("%.1f", i.furtherKiB)
			row[6] = fmt.Sprintf("%.1f", i.perConnectionDescriptors)
		}
		rows = append(rows, row)
	}
	table(b, "Idle connections", []string{"through", "held", "RSS MiB", "descriptors", "KiB a connection", "KiB each since the row above", "descriptors a connection"}, rows)
	rows = nil
	for _, l := range left {
		rows = append(rows, []string{l.contender, figure(l.rssKiB / 1024), fmt.Sprint(l.descriptors)})
	}
	table(b, "After they have gone", []string{"through", "RSS MiB", "descriptors"}, rows)
}

func renderStarts(b *strings.Builder, starts []startRow) {
	var rows [][]string
	for _, s := range starts {
		if len(s.accepted) == 0 {
			continue
		}
		least, greatest := bounds(s.accepted)
		rows = append(rows, []string{
			s.contender, milliseconds(median(s.accepted)),
			milliseconds(least) + "–" + milliseconds(greatest), milliseconds(median(s.ready)),
		})
	}
	table(b, "Start-up, from exec", []string{"program", "first connection accepted, ms, median", "min–max", "first PostgreSQL handshake finished, ms, median"}, rows)
}

func renderMemory(b *strings.Builder, memory []memoryRow) {
	var rows [][]string
	for _, m := range memory {
		if m.failure != "" {
			continue
		}
		upload := "1 GiB"
		if m.refused {
			upload = "refused with 413"
		}
		rows = append(rows, []string{m.name, upload, "1 GiB", fmt.Sprintf("%.1f", m.seconds), figure(m.peakKiB / 1024)})
	}
	table(b, "HTTP: memory of the broker while bodies stream both ways at once", []string{"connector", "upload", "download", "seconds", "peak RSS MiB"}, rows)
}

func renderFailures(b *strings.Builder, failures []string) {
	if len(failures) == 0 {
		return
	}
	b.WriteString("### Not measured\n\n")
	for _, failure := range failures {
		fmt.Fprintf(b, "- %s\n", oneLine(failure))
	}
	b.WriteString("\n")
}

// table writes nothing at all when there are no rows.
func table(b *strings.Builder, title string, heads []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(b, "### %s\n\n", title)
	line := func(cells []string) {
		for _, cell := range cells {
			b.WriteString("| " + oneLine(cell) + " ")
		}
		b.WriteString("|\n")
	}
	line(heads)
	b.WriteString(strings.Repeat("|---", len(heads)) + "|\n")
	for _, row := range rows {
		line(row)
	}
	b.WriteString("\n")
}

// oneLine keeps a text inside its cell.
func oneLine(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}

// figure prints about three significant digits: more would not be true.
func figure(value float64) string {
	switch {
	case value >= 1000:
		return fmt.Sprintf("%.0f", value)
	case value >= 100:
		return fmt.Sprintf("%.0f", value)
	case value >= 10:
		return fmt.Sprintf("%.1f", value)
	default:
		return fmt.Sprintf("%.2f", value)
	}
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
