// Package top draws what a broker does, again and again: a view for a terminal,
// and the same as plain text. It asks through package admin and knows nothing
// of the broker itself.
package top

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Escape makes text of others fit for a terminal and a table. What is shown as
// it is takes one cell a rune: printing ASCII, Latin, Greek and Cyrillic. All
// else, control characters and those that change the direction of text above
// all, is escaped as in Go.
func Escape(text string) string {
	plain := true
	for n := range len(text) {
		plain = plain && text[n] >= ' ' && text[n] < 0x7f
	}
	if plain {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if r >= ' ' && r < 0x7f || r > 0xa0 && r < 0x300 && r != 0xad || r >= 0x370 && r < 0x483 && strconv.IsPrint(r) || r == '…' {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// Bytes is a number of bytes for people.
func Bytes(n float64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return strconv.FormatFloat(n, 'f', 0, 64)
	}
	unit := 0
	for n /= 1024; n >= 1024 && unit < len(units)-1; n /= 1024 {
		unit++
	}
	return fmt.Sprintf("%.1f%c", n, units[unit])
}

// Age is a time that has passed for people: two units at most.
func Age(d time.Duration) string {
	d = max(d, 0)
	s := int64(d / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/(24*3600), s/3600%24)
}

// rate is a number a second.
func rate(n float64) string {
	switch {
	case n <= 0:
		return "0"
	case n < 10:
		return strconv.FormatFloat(n, 'f', 1, 64)
	}
	return strconv.FormatFloat(n, 'f', 0, 64)
}

// pad makes text exactly width runes wide, which are as many cells.
func pad(text string, width int, right bool) string {
	if width <= 0 {
		return ""
	}
	n := len([]rune(text))
	switch {
	case n > width && width > 1:
		return string([]rune(text)[:width-1]) + "…"
	case n > width:
		return string([]rune(text)[:width])
	case right:
		return strings.Repeat(" ", width-n) + text
	}
	return text + strings.Repeat(" ", width-n)
}
