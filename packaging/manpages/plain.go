package main

import (
	"regexp"
	"strings"
)

var (
	link = regexp.MustCompile(`\[([^\]]+)\]\([^)]+\)`)
	rule = regexp.MustCompile(`^\|[-| :]+\|$`)
)

// plain turns what a manual page has no room for into what it has: tables into
// lists, links into their texts.
func plain(markdown string) string {
	var out []string
	var header []string
	for line := range strings.Lines(markdown) {
		line = link.ReplaceAllString(strings.TrimRight(line, "\n"), "$1")
		switch {
		case !strings.HasPrefix(line, "|"):
			header = nil
			out = append(out, line)
		case rule.MatchString(line):
		case header == nil:
			header = cells(line)
		default:
			out = append(out, row(header, cells(line)), "")
		}
	}
	return strings.Join(out, "\n") + "\n"
}

func cells(line string) []string {
	parts := strings.Split(strings.Trim(line, "|"), "|")
	for i, p := range parts {
		parts[i] = strings.TrimSpace(p)
	}
	return parts
}

// row is a row of a table as an item: what it is about, what that means, and
// the further columns with their names.
func row(header, row []string) string {
	item := "- " + row[0]
	if len(row) > 1 && row[1] != "" {
		item += ": " + row[1]
	}
	for i := 2; i < len(row) && i < len(header); i++ {
		if row[i] != "" {
			item += "; " + header[i] + ": " + row[i]
		}
	}
	return item + "."
}
