package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// errNoFigure says that a program's report lacks something.
var errNoFigure = errors.New("figure missing from its output")

// figureIn reads a number out of a report: the pattern's only group.
func figureIn(output []byte, pattern string) (float64, error) {
	match := regexp.MustCompile(pattern).FindSubmatch(output)
	if match == nil {
		return 0, fmt.Errorf("%w: %s", errNoFigure, pattern)
	}
	value, err := strconv.ParseFloat(string(match[1]), 64)
	if err != nil {
		return 0, fmt.Errorf("reading %q: %w", match[1], err)
	}
	return value, nil
}
