package tdsserver

import (
	"errors"
	"fmt"
	"io"

	"secretless/internal/wire/tds"
)

// maxRequest bounds one request, headers not counted.
const maxRequest = 64 << 20

// message is one request: all its packets.
type message struct {
	kind   tds.PacketType
	status byte // of the first packet and the last, together
	body   []byte
}

// readMessage reads exactly one message, not a byte behind it.
func readMessage(r io.Reader, limit int) (message, error) {
	var m message
	for first := true; ; first = false {
		var raw [tds.HeaderSize]byte
		if _, err := io.ReadFull(r, raw[:]); err != nil {
			if !first && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return m, err
		}
		h, err := tds.ParseHeader(raw[:])
		switch {
		case err != nil:
			return m, err
		case !first && h.Type != m.kind:
			return m, fmt.Errorf("packet of type %#02x inside a message of type %#02x", byte(h.Type), byte(m.kind))
		case len(m.body)+int(h.Length) > limit+tds.HeaderSize:
			return m, fmt.Errorf("message is longer than %d bytes", limit)
		}
		m.kind = h.Type
		m.status |= h.Status
		at := len(m.body)
		m.body = append(m.body, make([]byte, int(h.Length)-tds.HeaderSize)...)
		if _, err := io.ReadFull(r, m.body[at:]); err != nil {
			return m, fmt.Errorf("reading a packet: %w", err)
		}
		if h.Last() {
			return m, nil
		}
	}
}

// packetWriter cuts a response into packets. Its first error stays.
type packetWriter struct {
	dst  io.Writer
	size int
	spid uint16
	id   byte
	buf  []byte // body of the packet that is being filled
	err  error
}

func (w *packetWriter) write(b []byte) {
	for len(b) > 0 && w.err == nil {
		room := w.size - tds.HeaderSize - len(w.buf)
		if room == 0 {
			w.flush(0)
			continue
		}
		n := min(room, len(b))
		w.buf = append(w.buf, b[:n]...)
		b = b[n:]
	}
}

// flush sends what is there as one packet.
func (w *packetWriter) flush(status byte) {
	w.id++
	h := tds.Header{
		Type: tds.TypeReply, Status: status, Length: uint16(tds.HeaderSize + len(w.buf)), SPID: w.spid, ID: w.id,
	}
	packet := append(h.Append(make([]byte, 0, w.size)), w.buf...)
	w.buf = w.buf[:0]
	if w.err == nil {
		_, w.err = w.dst.Write(packet)
	}
}

// end sends the last packet of a response and is ready for the next.
func (w *packetWriter) end() error {
	w.flush(tds.StatusEOM)
	w.id = 0
	return w.err
}
