package audit

import (
	"bytes"
	"io"
)

// stream is an output that is one sequence of bytes.
type stream struct {
	to   io.Writer
	torn bool // it ends in half a line
}

// write writes all lines with one call.
func (s *stream) write(lines []entry) (int, error) {
	var b []byte
	if s.torn {
		b = append(b, '\n')
	}
	for _, e := range lines {
		b = append(b, e.line...)
	}
	n, err := s.to.Write(b)
	if n == len(b) {
		s.torn = false
		return len(lines), err
	}
	if n == 0 {
		return 0, err
	}
	// The disk is full in the middle: the lines before that are there.
	done := b[:n]
	whole := bytes.Count(done, []byte("\n"))
	if s.torn {
		whole--
	}
	s.torn = done[n-1] != '\n'
	return whole, err
}

// Close does nothing: standard output is not ours to close.
func (s *stream) Close() error { return nil }
