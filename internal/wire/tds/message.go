package tds

import (
	"errors"
	"io"

	"secretless/internal/wire/readahead"
)

// Message is one message. It is valid until the next call of the
// buffer that it was read from.
type Message struct {
	Type PacketType
	// SPID is that of the first packet.
	SPID uint16
	// Body is the packets' data, one behind the other.
	Body []byte
	// Raw is the packets as they came, headers included.
	Raw []byte
}

// ReadMessage reads a message of packets of one type, at most limit bytes with
// its headers. Nothing behind it is taken from in.
func ReadMessage(in *readahead.Buffer, want PacketType, limit int) (Message, error) {
	m := Message{Type: want}
	size, packets := 0, 0
	for last := false; !last; packets++ {
		head, err := in.Peek(size + HeaderSize)
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
		if m.Raw, err = in.Peek(size); err != nil {
			return Message{}, unfinished(err)
		}
		last = h.Last()
	}
	in.Take(size)
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
