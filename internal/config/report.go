package config

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// report collects what is wrong with one file.
type report struct {
	file     string
	errors   Errors
	warnings Errors
}

func (r *report) errorf(pos Pos, format string, args ...any) {
	r.errors = append(r.errors, Diagnostic{File: r.file, Pos: pos, Text: fmt.Sprintf(format, args...)})
}

func (r *report) warnf(pos Pos, format string, args ...any) {
	r.warnings = append(r.warnings, Diagnostic{File: r.file, Pos: pos, Text: fmt.Sprintf(format, args...)})
}

// readable checks what must hold before a YAML parser sees the bytes.
func (r *report) readable(data []byte) bool {
	if len(data) > maxFile {
		r.errorf(Pos{}, "the file has more than %d KiB", maxFile>>10)
		return false
	}
	if utf8.Valid(data) {
		return true
	}
	at := 0
	for at < len(data) {
		c, n := utf8.DecodeRune(data[at:])
		if c == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	line := 1 + bytes.Count(data[:at], []byte("\n"))
	column := 1 + utf8.RuneCount(data[bytes.LastIndexByte(data[:at], '\n')+1:at])
	r.errorf(Pos{line, column}, "not UTF-8; save the file as UTF-8")
	return false
}

// syntax reports an error of the YAML parser, which knows the line at best.
func (r *report) syntax(data []byte, err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var pos Pos
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(text); m != nil {
		pos.Line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	// The line of its parser counts from 0, that of its scanner from 1.
	if regexp.MustCompile(`^did not find expected (<|node|key|',' or|'-')`).MatchString(text) {
		pos.Line++
	}
	lines := strings.Split(string(data), "\n")
	if tab, ok := tabNear(lines, pos.Line); ok {
		r.errorf(tab, "a tab cannot indent YAML; use spaces")
		return
	}
	if m := regexp.MustCompile(`^unknown anchor '(.*)' referenced$`).FindStringSubmatch(text); m != nil {
		r.errorf(find(lines, "*"+m[1]), "alias *%s has no anchor &%s before it", m[1], m[1])
		return
	}
	if pos.Line == 0 { // the parser leaves the first line out
		pos.Line = 1
	}
	pos.Line = min(pos.Line, len(lines))
	pos.Column = 1 + indent(lines[pos.Line-1])
	r.errorf(pos, "not YAML: %s%s", text, syntaxHint(text))
}

// syntaxHint says what people usually have written where the parser says text.
func syntaxHint(text string) string {
	switch {
	case strings.HasPrefix(text, "mapping values are not allowed"):
		return "; is a line indented too far, or is there a colon in a value that is not in quotes?"
	case strings.HasPrefix(text, "did not find expected ','"):
		return "; close the bracket, or put the value that holds a colon, comma or bracket in quotes"
	case strings.HasPrefix(text, "did not find expected node content"):
		return "; close the bracket"
	case strings.HasPrefix(text, "did not find expected key"), strings.HasPrefix(text, "did not find expected '-'"):
		return "; is a line from here on indented too little or too far?"
	case strings.HasPrefix(text, "could not find expected ':'"):
		return "; a name is followed by a colon and a space"
	case strings.HasPrefix(text, "found character that cannot start"):
		return "; put the value in quotes"
	case strings.HasPrefix(text, "found unexpected end of stream"):
		return "; close the quotes"
	}
	return ""
}

// tabNear finds the tab that indents a line around the given one: the parser
// counts to the line before, the line itself or the one behind it.
func tabNear(lines []string, line int) (Pos, bool) {
	for l := max(line-1, 1); l <= min(line+1, len(lines)); l++ {
		text := lines[l-1]
		if tab := strings.IndexByte(text[:indent(text)], '\t'); tab >= 0 {
			return Pos{l, tab + 1}, true
		}
	}
	return Pos{}, false
}

// find is the place of the first occurrence of text.
func find(lines []string, text string) Pos {
	for i, line := range lines {
		if at := strings.Index(line, text); at >= 0 {
			return Pos{i + 1, 1 + utf8.RuneCountInString(line[:at])}
		}
	}
	return Pos{1, 1}
}

// indent is the number of blanks and tabs that line starts with.
func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }

// quote shows a key or a value that is no secret; long ones are cut.
func quote(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return strconv.Quote(s)
}

func contains(list []string, s string) bool { return slices.Contains(list, s) }

func sortedEntries(entries []entry) []entry {
	return slices.SortedFunc(slices.Values(entries), func(a, b entry) int { return cmp.Compare(a.key, b.key) })
}
