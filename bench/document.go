package main

import (
	"fmt"
	"os"
	"strings"
)

// The lines between which the document's tables are rewritten.
const (
	beginMarker = "<!-- bench:begin -->"
	endMarker   = "<!-- bench:end -->"
)

// rewriteFile replaces the file's section between the markers.
func rewriteFile(path, section string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("rewriting the tables: %w", err)
	}
	text, err := rewrite(string(old), section)
	if err != nil {
		return fmt.Errorf("rewriting the tables of %s: %w", path, err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("rewriting the tables: %w", err)
	}
	return nil
}

// rewrite returns text with what is between the markers replaced by section.
// Each marker must be there exactly once, in order: anything else would lose
// what somebody wrote by hand.
func rewrite(text, section string) (string, error) {
	for _, marker := range []string{beginMarker, endMarker} {
		if n := strings.Count(text, marker); n != 1 {
			return "", fmt.Errorf("the marker %s is there %d times, want once", marker, n)
		}
	}
	before, rest, _ := strings.Cut(text, beginMarker)
	_, after, ok := strings.Cut(rest, endMarker)
	if !ok {
		return "", fmt.Errorf("the marker %s comes before %s", endMarker, beginMarker)
	}
	return before + beginMarker + "\n" + strings.TrimSpace(section) + "\n" + endMarker + after, nil
}
