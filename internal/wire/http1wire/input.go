package http1wire

import (
	"errors"
	"io"
)

// Input is what has come on a connection and was not used yet. It belongs to
// one goroutine at a time.
type Input struct {
	from io.Reader
	b    []byte
	r, w int // what is there is b[r:w]
}

const smallInput = 4 << 10

// ErrFull is that more is needed than Fill may keep.
var ErrFull = errors.New("more than may be kept")

// NewInput reads from a connection. ahead was read from it already.
func NewInput(from io.Reader, ahead []byte) *Input {
	i := &Input{from: from, b: make([]byte, max(smallInput, len(ahead)))}
	i.w = copy(i.b, ahead)
	return i
}

// Bytes is what has come. It is valid until the next call.
func (i *Input) Bytes() []byte { return i.b[i.r:i.w] }

// Len is how much has come.
func (i *Input) Len() int { return i.w - i.r }

// Skip takes n bytes out that have come.
func (i *Input) Skip(n int) {
	i.r += n
	if i.r == i.w {
		i.r, i.w = 0, 0
	}
}

// Fill reads once and keeps what comes behind what is there. With limit bytes
// there already it is ErrFull.
func (i *Input) Fill(limit int) error {
	if i.w == len(i.b) {
		if err := i.room(limit); err != nil {
			return err
		}
	}
	n, err := i.from.Read(i.b[i.w:])
	i.w += n
	if n > 0 {
		return nil // an error comes again
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

func (i *Input) room(limit int) error {
	if i.r > 0 {
		i.w = copy(i.b, i.b[i.r:i.w])
		i.r = 0
		return nil
	}
	if len(i.b) >= limit {
		return ErrFull
	}
	larger := make([]byte, min(2*len(i.b), max(limit, smallInput)))
	i.w = copy(larger, i.b)
	i.b = larger
	return nil
}

// Shrink lets go of what a large message has needed.
func (i *Input) Shrink() {
	if len(i.b) > smallInput && i.Len() <= smallInput {
		small := make([]byte, smallInput)
		i.w = copy(small, i.Bytes())
		i.r, i.b = 0, small
	}
}

// Add puts what somebody else has read behind what is there.
func (i *Input) Add(b []byte) {
	i.b = append(i.b[:i.w], b...)
	i.w = len(i.b)
	i.b = i.b[:cap(i.b)]
}

// Read takes what has come, or else reads.
func (i *Input) Read(p []byte) (int, error) {
	if i.r < i.w {
		n := copy(p, i.b[i.r:i.w])
		i.Skip(n)
		return n, nil
	}
	if len(p) == 0 {
		return 0, nil
	}
	return i.from.Read(p)
}
