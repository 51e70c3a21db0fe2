package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	// bufferSize holds a whole login of an ordinary target.
	bufferSize = 4 << 10
	// maxMessage bounds one message of the target before ReadyForQuery;
	// PostgreSQL's own are below 30,000 bytes.
	maxMessage = 64 << 10
	// headerSize is a message's type and length.
	headerSize = 5
)

// buffer reads one side of a handshake in as few system calls as it takes, and
// gives back what it read too far: pgproto3's own readers would keep that.
type buffer struct {
	src  io.Reader
	data []byte
	r, w int
}

// errLength is a length that no honest peer sends.
type errLength struct{ got uint32 }

func (e errLength) Error() string { return fmt.Sprintf("length %d is out of bounds", e.got) }

// peek returns the next n bytes without consuming them; they are valid until
// the next call. io.EOF means that not one byte came, io.ErrUnexpectedEOF that
// fewer than n did.
func (b *buffer) peek(n int) ([]byte, error) {
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

// fill reads once, having made room for n unread bytes.
func (b *buffer) fill(n int) error {
	if b.r == b.w {
		b.r, b.w = 0, 0
	}
	if b.r+n > len(b.data) {
		data := b.data
		if n > len(data) {
			data = make([]byte, n)
		}
		b.w = copy(data, b.data[b.r:b.w])
		b.data, b.r = data, 0
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

// take consumes n bytes that peek has returned.
func (b *buffer) take(n int) { b.r += n }

// message returns the next whole message, header included, valid until the
// next call.
func (b *buffer) message() (kind byte, whole []byte, err error) {
	header, err := b.peek(headerSize)
	if err != nil {
		return 0, nil, err
	}
	kind = header[0]
	length := binary.BigEndian.Uint32(header[1:])
	if length < 4 || length >= maxMessage {
		return kind, nil, errLength{length}
	}
	if whole, err = b.peek(int(length) + 1); err != nil {
		return kind, nil, err
	}
	b.take(len(whole))
	return kind, whole, nil
}

// buffered is the number of bytes read but not consumed.
func (b *buffer) buffered() int { return b.w - b.r }

// rest returns a copy of what was read but not consumed, nil if nothing.
func (b *buffer) rest() []byte {
	if b.r == b.w {
		return nil
	}
	return append([]byte(nil), b.data[b.r:b.w]...)
}

// buffers recycles the memory of handshakes.
type buffers struct{ pool sync.Pool }

func (p *buffers) get(src io.Reader) *buffer {
	b, ok := p.pool.Get().(*buffer)
	if !ok {
		b = &buffer{data: make([]byte, bufferSize)}
	}
	b.src, b.r, b.w = src, 0, 0
	return b
}

// put takes b back; it must not be used any more. A buffer that had to grow is
// left to the collector.
func (p *buffers) put(b *buffer) {
	if len(b.data) > bufferSize {
		return
	}
	clear(b.data)
	b.src = nil
	p.pool.Put(b)
}
