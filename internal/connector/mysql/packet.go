package mysql

import (
	"secretless/internal/wire/mysqlwire"
	"secretless/internal/wire/readahead"
)

// nextPacket returns the next packet's sequence number and payload, which is
// valid until the next call. io.EOF means that not one byte came,
// io.ErrUnexpectedEOF that the packet is incomplete, a mysqlwire.LengthError
// that it is longer than any of the connection phase.
func nextPacket(in *readahead.Buffer) (sequence byte, payload []byte, err error) {
	header, err := in.Peek(mysqlwire.HeaderSize)
	if err != nil {
		return 0, nil, err
	}
	length, sequence, err := mysqlwire.ParseHeader(header)
	if err != nil {
		return sequence, nil, err
	}
	whole, err := in.Peek(mysqlwire.HeaderSize + length)
	if err != nil {
		return sequence, nil, err
	}
	in.Take(len(whole))
	return sequence, whole[mysqlwire.HeaderSize:], nil
}
