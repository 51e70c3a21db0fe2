package config

import (
	"strings"
	"testing"
)

// Hostile files of the largest size end in an error or a file, soon: a parser
// that took quadratic time would run into the test's own time limit.
func TestHostileFiles(t *testing.T) {
	fill := func(s string) string { return strings.Repeat(s, maxFile/len(s)) }
	for name, text := range map[string]string{
		"flow lists":   fill("["),
		"flow maps":    fill("{a: "),
		"block lists":  fill("- "),
		"keys":         "version: \"2\"\nservices:\n" + fillKeys(90_000),
		"top keys":     fillKeys(90_000),
		"anchors":      fill("- &a x\n"),
		"comments":     fill("#\n"),
		"behind":       "a: b\n" + fill("#\n"),
		"blank lines":  fill("\n"),
		"quotes":       `a: "` + fill(`\"`),
		"long key":     fill("k") + ": 1",
		"long scalar":  "version: " + fill("9"),
		"tabs":         "a:\n" + fill("\t"),
		"documents":    fill("---\n"),
		"directives":   fill("%YAML 1.1\n"),
		"question":     fill("? "),
		"tags":         fill("!!str "),
		"colons":       fill(":"),
		"block scalar": "a: |\n" + fill(" x\n"),
	} {
		t.Run(name, func(t *testing.T) {
			if len(text) > maxFile {
				text = text[:maxFile]
			}
			if _, err := Parse("h.yml", []byte(text), offline()); err == nil {
				t.Error("no error")
			}
		})
	}
}

// fillKeys makes n different keys.
func fillKeys(n int) string {
	var w strings.Builder
	for i := range n {
		w.WriteString("  k")
		for x := i; x > 0; x /= 26 {
			w.WriteByte(byte('a' + x%26))
		}
		w.WriteString(": 1\n")
	}
	return w.String()
}
