package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Pos is a place in a file; lines and columns count from 1. The zero Pos is
// the file as a whole.
type Pos struct{ Line, Column int }

// Diagnostic is an error or a warning about a place in a file.
type Diagnostic struct {
	File string
	Pos
	// Path is the key, for texts in which lines say nothing; Pos is zero then.
	Path string
	Text string
}

// String is the place and the text.
func (d Diagnostic) String() string { return d.Place() + ": " + d.Text }

// Place is "file:line:column" or "file: path", or "file" where there is neither.
func (d Diagnostic) Place() string {
	switch {
	case d.Path != "":
		return d.File + ": " + d.Path
	case d.Line == 0:
		return d.File
	}
	return fmt.Sprintf("%s:%d:%d", d.File, d.Line, d.Column)
}

// Errors is everything that is wrong with a file. As an error it prints one
// diagnostic a line.
type Errors []Diagnostic

// Error is one diagnostic a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, d := range e {
		lines[i] = d.String()
	}
	return strings.Join(lines, "\n")
}

// Err returns e in file order without repetitions, or nil if it is empty.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e.sorted()
}

// sorted returns e by position, each diagnostic once: what an alias repeats is
// still one mistake.
func (e Errors) sorted() Errors {
	s := slices.Clone(e)
	slices.SortStableFunc(s, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(s)
}

// Join puts the diagnostics of several errors into one Errors in file order,
// or returns nil if all are nil. An error that is no Errors keeps its text and
// gets file as its place.
func Join(file string, errs ...error) error {
	var all Errors
	for _, err := range errs {
		if err == nil {
			continue
		}
		if e, ok := errors.AsType[Errors](err); ok {
			all = append(all, e...)
			continue
		}
		all = append(all, Diagnostic{File: file, Text: err.Error()})
	}
	return all.Err()
}
