package mysqlwire

import (
	"errors"
	"fmt"
	"io"
)

// readerSize holds the whole login of an ordinary peer.
const readerSize = 4 << 10

// Reader reads the packets of one side in as few system calls as it takes,
// and gives back what it read too far. Not safe for concurrent use.
type Reader struct {
	src  io.Reader
	data []byte
	r, w int
}

// NewReader reads from src.
func NewReader(src io.Reader) *Reader { return &Reader{src: src, data: make([]byte, readerSize)} }

// Reset forgets what was read and wipes it; reading goes on from src. It
// reports whether the reader is small enough to be kept for another
// connection.
func (r *Reader) Reset(src io.Reader) (keep bool) {
	clear(r.data[:cap(r.data)])
	r.src, r.r, r.w = src, 0, 0
	return len(r.data) == readerSize
}

// LengthError is a length that no honest peer sends.
type LengthError struct{ Length int }

// Error names the length.
func (e LengthError) Error() string {
	return fmt.Sprintf("length %d is out of bounds", e.Length)
}

// Next returns the next packet's sequence number and payload, which is valid
// until the next call. io.EOF means that not one byte came,
// io.ErrUnexpectedEOF that the packet is incomplete; LengthError that it is
// longer than MaxPayload, of which nothing was read ahead on purpose.
func (r *Reader) Next() (sequence byte, payload []byte, err error) {
	header, err := r.peek(HeaderSize)
	if err != nil {
		return 0, nil, err
	}
	n := int(header[0]) | int(header[1])<<8 | int(header[2])<<16
	sequence = header[3]
	if n > MaxPayload {
		return sequence, nil, LengthError{n}
	}
	whole, err := r.peek(HeaderSize + n)
	if err != nil {
		return sequence, nil, err
	}
	r.r += len(whole)
	return sequence, whole[HeaderSize:], nil
}

// Wait returns when a byte is there or no more will come.
func (r *Reader) Wait() error {
	_, err := r.peek(1)
	return err
}

// Buffered is the number of bytes read but not consumed.
func (r *Reader) Buffered() int { return r.w - r.r }

// Rest returns a copy of what was read but not consumed, nil if nothing.
func (r *Reader) Rest() []byte {
	if r.r == r.w {
		return nil
	}
	return append([]byte(nil), r.data[r.r:r.w]...)
}

// peek returns the next n bytes without consuming them.
func (r *Reader) peek(n int) ([]byte, error) {
	for r.w-r.r < n {
		if err := r.fill(n); err != nil {
			if errors.Is(err, io.EOF) && r.w > r.r {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return r.data[r.r : r.r+n], nil
}

// fill reads once, having made room. Memory grows with what has arrived, not
// with what a length announces.
func (r *Reader) fill(n int) error {
	if r.r == r.w {
		r.r, r.w = 0, 0
	}
	if r.r > 0 && r.r+n > len(r.data) {
		r.w = copy(r.data, r.data[r.r:r.w])
		r.r = 0
	}
	if r.w == len(r.data) {
		grown := make([]byte, min(2*len(r.data), HeaderSize+MaxPayload))
		copy(grown, r.data[:r.w])
		clear(r.data)
		r.data = grown
	}
	read, err := r.src.Read(r.data[r.w:])
	r.w += read
	if read > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}
