package top

import (
	"fmt"
	"strings"
)

// style is how a line looks on a terminal.
type style int

const (
	plain style = iota
	heading
	chosen
	alarm
	question
)

// line is one row of the view: printable text of one cell a rune.
type line struct {
	text  string
	style style
}

// column of a table; the widest of those that stretch gives way where a row is
// too long.
type column struct {
	title    string
	right    bool
	stretch  bool
	smallest int
}

// columns lays rows out below their titles, width cells wide; zero is without
// bound.
func columns(cols []column, rows [][]string, width int) []line {
	widths := make([]int, len(cols))
	for n, c := range cols {
		widths[n] = len(c.title)
		for _, row := range rows {
			widths[n] = max(widths[n], len([]rune(row[n])))
		}
	}
	if width > 0 {
		shrink(cols, widths, width)
	}
	lines := make([]line, 0, len(rows)+1)
	titles := make([]string, len(cols))
	for n, c := range cols {
		titles[n] = c.title
	}
	lines = append(lines, line{joined(cols, widths, titles), heading})
	for _, row := range rows {
		lines = append(lines, line{joined(cols, widths, row), plain})
	}
	return lines
}

func shrink(cols []column, widths []int, width int) {
	over := 2 * (len(cols) - 1)
	for _, w := range widths {
		over += w
	}
	for over -= width; over > 0; over-- {
		widest := -1
		for n, c := range cols {
			if c.stretch && widths[n] > max(c.smallest, 4) && (widest < 0 || widths[n] > widths[widest]) {
				widest = n
			}
		}
		if widest < 0 {
			return // cut at the edge
		}
		widths[widest]--
	}
}

func joined(cols []column, widths []int, cells []string) string {
	var b strings.Builder
	for n, cell := range cells {
		if n > 0 {
			b.WriteString("  ")
		}
		b.WriteString(pad(cell, widths[n], cols[n].right))
	}
	return strings.TrimRight(b.String(), " ")
}

// fit cuts lines to most, zero without bound, and says what is missing.
func fit(lines []line, most int) []line {
	if most <= 0 || len(lines) <= most {
		return lines
	}
	cut := append([]line{}, lines[:most-1]...)
	return append(cut, line{fmt.Sprintf("… %d more", len(lines)-most+1), plain})
}
