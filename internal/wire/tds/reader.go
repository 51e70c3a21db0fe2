package tds

import (
	"errors"
	"io"
)

// readerSize holds a whole login of an ordinary target.
const readerSize = 4 << 10

// Reader reads the messages of one side in as few system calls as it takes,
// and gives back what it read too far. Not safe for concurrent use.
type Reader struct {
	src  io.Reader
	data []byte
	r, w int
}

// NewReader makes a Reader.
func NewReader(src io.Reader) *Reader { return &Reader{src: src, data: make([]byte, readerSize)} }

// Reset forgets what was read, wipes it, and reads from src from now on. It
// reports whether the memory is still of the size that it started with, so
// that the reader is fit for a pool.
func (r *Reader) Reset(src io.Reader) (small bool) {
	small = len(r.data) <= readerSize
	clear(r.data)
	r.src, r.r, r.w = src, 0, 0
	return small
}

// Message is one message. It is valid until the Reader's next call.
type Message struct {
	Type PacketType
	// SPID is that of the first packet.
	SPID uint16
	// Body is the packets' data, one behind the other.
	Body []byte
	// Raw is the packets as they came, headers included.
	Raw []byte
}

// Peek returns the next n bytes without consuming them; they are valid until
// the next call. io.EOF means that not one byte came, io.ErrUnexpectedEOF that
// fewer than n did.
func (r *Reader) Peek(n int) ([]byte, error) {
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

// fill reads once, having made room for n unread bytes.
func (r *Reader) fill(n int) error {
	if r.r == r.w {
		r.r, r.w = 0, 0
	}
	if r.r+n > len(r.data) {
		data := r.data
		if n > len(data) {
			data = make([]byte, max(n, 2*len(data)))
		}
		r.w = copy(data, r.data[r.r:r.w])
		r.data, r.r = data, 0
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

// Message reads a message of packets of one type, at most limit bytes with its
// headers. Nothing behind it is consumed.
func (r *Reader) Message(want PacketType, limit int) (Message, error) {
	m := Message{Type: want}
	size, packets := 0, 0
	for last := false; !last; packets++ {
		head, err := r.Peek(size + HeaderSize)
		if err != nil {
			return Message{}, err
		}
		h, err := ParseHeader(head[size:])
		switch {
		case err != nil:
			return Message{}, err
		case h.Type != want:
			return Message{}, malformed("packet", "type %#02x instead of %#02x", byte(h.Type), byte(want))
		case size+int(h.Length) > limit:
			return Message{}, malformed("message", "longer than %d bytes", limit)
		case packets == 0:
			m.SPID = h.SPID
		}
		size += int(h.Length)
		if _, err := r.Peek(size); err != nil {
			return Message{}, unfinished(err)
		}
		last = h.Last()
	}
	m.Raw = r.data[r.r : r.r+size]
	r.r += size
	m.Body = m.Raw[HeaderSize:]
	if packets > 1 {
		m.Body = joined(m.Raw)
	}
	return m, nil
}

// unfinished is err for a message whose header came.
func unfinished(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// joined is the data of the packets in raw, whose headers have been checked.
func joined(raw []byte) []byte {
	body := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		length := int(raw[2])<<8 | int(raw[3])
		body = append(body, raw[HeaderSize:length]...)
		raw = raw[length:]
	}
	return body
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
