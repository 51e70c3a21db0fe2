// Package readahead reads one side of a handshake in as few system calls as it
// takes and gives back what it read too far: those bytes belong to whoever
// takes the connection over.
package readahead

import (
	"errors"
	"io"
	"sync"
)

// size holds the whole login of an ordinary peer.
const size = 4 << 10

// Buffer is what has been read and not yet been taken. Not safe for concurrent
// use.
type Buffer struct {
	src  io.Reader
	data []byte
	r, w int
}

// New reads from src.
func New(src io.Reader) *Buffer { return &Buffer{src: src, data: make([]byte, size)} }

// Reset forgets and wipes what was read; reading goes on from src.
func (b *Buffer) Reset(src io.Reader) {
	clear(b.data)
	b.src, b.r, b.w = src, 0, 0
}

// Peek returns the next n bytes without taking them; they are valid until the
// next call. io.EOF means that not one byte came, io.ErrUnexpectedEOF that
// fewer than n did. The caller bounds n; memory grows with what has arrived,
// not with what a length announces.
func (b *Buffer) Peek(n int) ([]byte, error) {
	for b.w-b.r < n {
		if err := b.fill(n); err != nil {
			if errors.Is(err, io.EOF) && b.w > b.r {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return b.data[b.r : b.r+n], nil
}

// Take consumes n bytes that Peek has returned.
func (b *Buffer) Take(n int) { b.r += n }

// Buffered is the number of bytes read but not taken.
func (b *Buffer) Buffered() int { return b.w - b.r }

// Rest returns a copy of what was read but not taken, nil if nothing.
func (b *Buffer) Rest() []byte {
	if b.r == b.w {
		return nil
	}
	return append([]byte(nil), b.data[b.r:b.w]...)
}

// fill reads once, on the way to n bytes not taken.
func (b *Buffer) fill(n int) error {
	switch {
	case b.r == b.w:
		b.r, b.w = 0, 0
	case b.r+n > len(b.data):
		b.w = copy(b.data, b.data[b.r:b.w])
		b.r = 0
	}
	if b.w == len(b.data) {
		grown := make([]byte, min(2*len(b.data), max(n, len(b.data)+1)))
		copy(grown, b.data)
		clear(b.data)
		b.data = grown
	}
	read, err := b.src.Read(b.data[b.w:])
	b.w += read
	if read > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// Pool recycles the memory of handshakes. The zero value is ready; safe for
// concurrent use.
type Pool struct{ pool sync.Pool }

// Get returns a Buffer that reads from src.
func (p *Pool) Get(src io.Reader) *Buffer {
	b, ok := p.pool.Get().(*Buffer)
	if !ok {
		return New(src)
	}
	b.src = src
	return b
}

// Put takes b back, wiped; it must not be used any more. One that had to grow
// is left to the collector.
func (p *Pool) Put(b *Buffer) {
	b.Reset(nil)
	if len(b.data) == size {
		p.pool.Put(b)
	}
}
