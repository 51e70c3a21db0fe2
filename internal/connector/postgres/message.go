package postgres

import (
	"encoding/binary"
	"fmt"

	"secretless/internal/wire/readahead"
)

const (
	// maxMessage bounds one message of the target before ReadyForQuery;
	// PostgreSQL's own are below 30,000 bytes.
	maxMessage = 64 << 10
	// headerSize is a message's type and length.
	headerSize = 5
)

// errLength is a length that no honest peer sends.
type errLength struct{ got uint32 }

func (e errLength) Error() string { return fmt.Sprintf("length %d is out of bounds", e.got) }

// nextMessage returns the next whole message, header included, valid until the
// next call. pgproto3's own readers would keep what they read too far.
func nextMessage(in *readahead.Buffer) (kind byte, whole []byte, err error) {
	header, err := in.Peek(headerSize)
	if err != nil {
		return 0, nil, err
	}
	kind = header[0]
	length := binary.BigEndian.Uint32(header[1:])
	if length < 4 || length >= maxMessage {
		return kind, nil, errLength{length}
	}
	if whole, err = in.Peek(int(length) + 1); err != nil {
		return kind, nil, err
	}
	in.Take(len(whole))
	return kind, whole, nil
}
